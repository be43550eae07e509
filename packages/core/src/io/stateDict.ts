/**
 * Finds the state dict in the pickle of a training checkpoint, and notes its choice and the alternatives. It looks
 * at the structure only: it neither checks nor reads arrays.
 */

import { FileFormatError } from '../errors.js';
import { timeSlices } from '../yield.js';
import { isArray, isScalar } from './arrays.js';
import { nameCounter, requireName } from './limits.js';
import { under } from './listing.js';
import type { Notes } from './notes.js';
import { describe, isTag, itemsOf, type Pickled } from './pickleValue.js';
import { listed, quote } from './quote.js';
import { withoutWrappers } from './rename.js';

/** A state dict: the arrays of a dict, by name. */
export interface StateDict {
  /** Arrays by name, in order. */
  readonly arrays: ReadonlyMap<string, Pickled>;
  /** Place of the dict: the file itself, a part of a checkpoint, or a part of a checkpoint of Lightning. */
  readonly within: 'file' | 'checkpoint' | 'lightning';
}

/** Keys under which training scripts save the state dict, in order of search. */
const usualNames = [
  'state_dict',
  'model_state_dict',
  'model',
  'net',
  'params',
  'weights',
  'module',
  'model_state',
  'shadow',
];

/** Keys of averages of the weights (exponential moving averages) beside them, in order of search. */
const averagedNames = ['state_dict_ema', 'model_ema', 'params_ema', 'ema_state_dict', 'ema'];

/** True for keys of non-network arrays: the state of optimizers, schedulers and random number generators. */
function isOtherState(key: string): boolean {
  const words = key.replace(/([a-z])([A-Z])/g, '$1_$2').toLowerCase();
  return (
    /optimi[sz]er|scheduler/.test(words) ||
    /(?<![a-z])(?:optims?|sched|(?:grad)?scalers?|rngs?|random)(?![a-z])/.test(words)
  );
}

/** Longest key that can lead to a state dict: paths are joined to the names of all arrays below them. */
const MAX_KEY = 256;

/** Names of a layer's own arrays: a dict of these alone is one layer, not a network. */
const layerNames = /^\.(weight|bias|running_mean|running_var|num_batches_tracked|gamma|beta|mean|var)$/;

/** Keys between two looks at the clock. */
const STRIDE = 1024;

/** A dict of arrays in the file. */
interface Candidate {
  /** Keys that lead to it, joined by dots; empty for the value itself. */
  readonly path: string;
  readonly dict: ReadonlyMap<Pickled, Pickled>;
  /** Number of its arrays that have dimensions: not counters and losses. */
  readonly size: number;
}

const SAVE = 'Save the weights with torch.save(model.state_dict(), file).';

/** True if a value is a whole `torch.nn.Module`: an object whose attributes are those of modules. */
function isWholeModule(value: Pickled | undefined): boolean {
  if (!isTag(value, 'instance') && !isTag(value, 'call')) return false;
  const state = itemsOf(value.state);
  return state !== undefined && (state.has('_modules') || state.has('_parameters'));
}

/** Gives the children of a dict or list that have names: text keys, and the indices of a list. */
function* childrenOf(value: Pickled | undefined): Generator<readonly [string, Pickled]> {
  for (const [key, item] of itemsOf(value) ?? []) if (typeof key === 'string') yield [key, item];
  // Of a list, enough for `(state_dict, epoch)`.
  if (Array.isArray(value))
    for (const [index, item] of (value as readonly Pickled[]).slice(0, 16).entries())
      yield [String(index), item];
}

/** Looks into the dicts of a pickle; remembers answers, as a file can contain one dict a million times. */
class Dicts {
  readonly #sizes = new Map<ReadonlyMap<Pickled, Pickled>, { arrays: number; size: number }>();

  /** Counts the arrays of a dict, and those with dimensions. */
  count(dict: ReadonlyMap<Pickled, Pickled>): { readonly arrays: number; readonly size: number } {
    const known = this.#sizes.get(dict);
    if (known) return known;
    const counts = { arrays: 0, size: 0 };
    for (const value of dict.values()) {
      if (!isArray(value)) continue;
      counts.arrays++;
      if (!isScalar(value)) counts.size++;
    }
    this.#sizes.set(dict, counts);
    return counts;
  }

  /** Makes a candidate of a value that is a dict of arrays. */
  candidate(value: Pickled | undefined, path: string): Candidate | undefined {
    const dict = itemsOf(value);
    if (!dict) return undefined;
    const { arrays, size } = this.count(dict);
    return arrays > 0 ? { path, dict, size } : undefined;
  }

  /**
   * All dicts of arrays below a value, at most three keys deep, the nearest first; each dict once.
   * @param signal - heard every few milliseconds.
   */
  async below(root: Pickled, signal: AbortSignal | undefined): Promise<Candidate[]> {
    const sliced = timeSlices(signal);
    let count = 0;
    const found: Candidate[] = [];
    const seen = new Set<Pickled>([root]);
    let level: readonly (readonly [string, Pickled])[] = [['', root]];
    for (let depth = 0; depth < 3; depth++) {
      const next: [string, Pickled][] = [];
      for (const [path, value] of level)
        for (const [key, item] of childrenOf(value)) {
          if (++count % STRIDE === 0) await sliced();
          // Lists are looked into at the top alone.
          if (!itemsOf(item) || seen.has(item) || key.length > MAX_KEY || isOtherState(key)) continue;
          seen.add(item);
          const at = path ? `${path}.${key}` : key;
          const candidate = this.candidate(item, at);
          if (candidate) found.push(candidate);
          next.push([at, item]);
        }
      level = next;
    }
    return found;
  }

  /** The dict of arrays under usual keys, at most `depth` of them. */
  usual(from: Pickled | undefined, depth: number, path = ''): Candidate | undefined {
    const items = itemsOf(from);
    if (!items || depth === 0) return undefined;
    const first = (names: readonly string[]): Candidate | undefined => {
      for (const name of names) {
        const at = path ? `${path}.${name}` : name;
        const nested = items.get(name);
        const found = this.usual(nested, depth - 1, at) ?? this.candidate(nested, at);
        if (found && found.size > 0) return found;
      }
      return undefined;
    };
    const [plain, averaged] = [first(usualNames), first(averagedNames)];
    if (!plain || !averaged) return plain ?? averaged;
    // The averaged weights are the ones that are evaluated and published, and what timm takes; but an average
    // of the parameters alone, without the buffers of batch norm, is no state dict.
    return covers(namesIn(averaged.dict), namesIn(plain.dict)) ? averaged : plain;
  }
}

/** Names of arrays with dimensions, without what wrappers add; each after a dot, so that none is a number (`nameCounter`). */
const namesIn = (dict: ReadonlyMap<Pickled, Pickled>): Set<string> =>
  new Set(
    [...dict].flatMap(([key, value]) =>
      typeof key === 'string' && isArray(value) && !isScalar(value) ? [`.${withoutWrappers(key)}`] : [],
    ),
  );

/** True if `names` contains all of `others`. */
function covers(names: ReadonlySet<string>, others: ReadonlySet<string>): boolean {
  if (others.size > names.size) return false;
  for (const name of others) if (!names.has(name)) return false;
  return true;
}

/** Number of tensors of one dict from which another with a tenth of them is no network beside it. */
const MUCH_SMALLER = 10;

/**
 * True if a dict under a usual key holds something beside the network in `other`, not the network: class weights
 * under 'weights', a learning rate under 'params'.
 */
function isBeside({ dict, size }: Candidate, other: Candidate | undefined): boolean {
  if (!other || other.size <= size) return false;
  if (other.size >= MUCH_SMALLER * size) return true;
  const isDotted = (name: string): boolean => name.includes('.', 1);
  return (
    size === 1 && ![...namesIn(dict)].some(isDotted) && [...namesIn(other.dict)].filter(isDotted).length > 1
  );
}

/** True if dicts can be parts of one network: no name occurs in two of them, or each is one layer. */
const arePieces = (names: readonly ReadonlySet<string>[]): boolean =>
  new Set(names.flatMap((all) => [...all])).size === names.reduce((sum, { size }) => sum + size, 0) ||
  names.every((all) => [...all].every((name) => layerNames.test(name)));

/** Joins dicts into one: the names of each begin with its path below the key `parent` (empty: in the file). */
function joined(pieces: readonly Candidate[], parent: string): Candidate {
  const dict = new Map<Pickled, Pickled>();
  for (const { path, dict: piece } of pieces) {
    const prefix = parent ? path.slice(parent.length + 1) : path;
    for (const [key, value] of piece) dict.set(typeof key === 'string' ? `${prefix}.${key}` : key, value);
  }
  return { path: parent, dict, size: pieces.reduce((sum, { size }) => sum + size, 0) };
}

/** Joins the largest dict with the others under the same key (`net.backbone`, `net.head`), if they are pieces. */
function joinSiblings(candidates: readonly Candidate[]): readonly Candidate[] {
  const parentOf = ({ path }: Candidate): string => path.slice(0, Math.max(0, path.lastIndexOf('.')));
  const largest = candidates.reduce((a, b) => (b.size > a.size ? b : a));
  const parent = parentOf(largest);
  if (parent === '') return candidates;
  const siblings = candidates.filter((candidate) => parentOf(candidate) === parent);
  const others = candidates.filter((candidate) => parentOf(candidate) !== parent);
  if (siblings.length < 2 || !arePieces(siblings.map(({ dict }) => namesIn(dict)))) return candidates;
  return [joined(siblings, parent), ...others];
}

/**
 * Finds the dict that holds the weights: with `from` the one it names; else, in this order, the one under a
 * usual key (averaged weights first, if they are complete; accuracies beside it can be tensors too) unless another
 * is ten times larger (class weights under 'weights' are no network), the value
 * itself, if it has more arrays with dimensions than any dict in it, the only dict in it, or one of several.
 * @param from - keys that lead to it, joined by dots, or a prefix of names.
 * @param signal - heard every few milliseconds.
 * @throws FileFormatError if there is no state dict, or several that could be meant.
 */
export async function findStateDict(
  format: string,
  root: Pickled,
  from: string | undefined,
  notes: Notes,
  signal?: AbortSignal,
): Promise<StateDict> {
  const dicts = new Dicts();
  const isLightning = itemsOf(root)?.has('pytorch-lightning_version') ?? false;
  const nested = isLightning ? 'lightning' : 'checkpoint';
  if (from !== undefined) {
    const arrays = await named(format, root, from, dicts, notes, signal);
    return { arrays, within: nested };
  }
  const candidates = await dicts.below(root, signal);
  const others = (path: string): Candidate[] =>
    candidates.filter((other) => other.size > 0 && other.path !== path && !other.path.startsWith(`${path}.`));
  const top = dicts.candidate(root, '');
  const sliced = timeSlices(signal);
  let hasTensorsAtTop = false;
  for (const [key, value] of top?.dict ?? []) {
    await sliced();
    hasTensorsAtTop ||= typeof key === 'string' && isArray(value) && !isScalar(value) && !isOtherState(key);
  }
  const take = ({ path, dict }: Candidate): StateDict => {
    const rest = others(path).map((other) => other.path);
    const held = [
      ...(rest.length > 0 ? [listed(rest, quote)] : []),
      ...(hasTensorsAtTop ? ['tensors at its top'] : []),
    ];
    if (held.length > 0)
      notes.choice(`The weights are those under ${quote(path)}; the file also holds ${held.join(', and ')}.`);
    return { arrays: arraysOf(format, dict, notes), within: nested };
  };

  const usual = dicts.usual(root, 3);
  const largest = [...candidates].sort((a, b) => b.size - a.size)[0];
  // An average without the buffers of batch norm, beside weights under an unusual key.
  const isPart = averagedNames.includes(usual?.path ?? '') && largest && largest.size > usual!.size;
  const beside = usual && (isBeside(usual, top) || isBeside(usual, largest)) ? usual : undefined;
  if (usual && isPart) return take(largest);
  if (usual && !beside) return take(usual);
  if (top && (!largest || top.size > largest.size)) {
    const rest = candidates.filter(({ size }) => size > 0).map(({ path }) => path);
    if (rest.length > 0)
      notes.choice(`The weights are those at the top of the file; it also holds ${listed(rest, quote)}.`);
    return { arrays: arraysOf(format, top.dict, notes), within: 'file' };
  }
  const found = candidates.filter(({ size, path }) => size > 0 && path !== beside?.path);
  const nearest = found.length > 1 ? joinSiblings(found) : found;
  if (nearest.length === 1) return take(nearest[0]!);
  if (nearest.length > 1) return several(format, nearest, take, notes, signal);
  if (largest) return take(largest);
  return none(format, root);
}

/** Chooses among several dicts: joins pieces of one network; of several networks, takes the averaged one. */
async function several(
  format: string,
  candidates: readonly Candidate[],
  take: (candidate: Candidate) => StateDict,
  notes: Notes,
  signal: AbortSignal | undefined,
): Promise<StateDict> {
  const sliced = timeSlices(signal);
  const names: Set<string>[] = [];
  for (const { dict } of candidates) {
    await sliced();
    names.push(namesIn(dict));
  }
  const [first, second] = [...candidates].sort((a, b) => b.size - a.size) as [Candidate, Candidate];
  if (first.size >= MUCH_SMALLER * second.size) return take(first);
  if (arePieces(names)) {
    notes.choice(`The weights are those under ${listed(candidates, ({ path }) => quote(path))}, joined.`);
    return { arrays: arraysOf(format, joined(candidates, '').dict, notes), within: 'checkpoint' };
  }
  const averaged = candidates.filter(({ path }) => /ema|averag|swa/i.test(path));
  if (averaged.length === 1) {
    const all = namesIn(averaged[0]!.dict);
    if (names.every((others) => covers(all, others))) return take(averaged[0]!);
  }
  throw new FileFormatError(
    format,
    `it holds several dicts of tensors: ${listed(candidates, ({ path }) => quote(path))}. Choose one with the option 'from' (cnn: --weights-key).`,
  );
}

/** Says what a file without a state dict holds. */
function none(format: string, root: Pickled): StateDict {
  const fail = (reason: string): never => {
    throw new FileFormatError(format, reason);
  };
  const items = itemsOf(root);
  if (isWholeModule(root))
    return fail(
      `it holds a whole module, ${describe(root)}, no dict of tensors; its code is not run. In PyTorch load it where its class is defined, and save its state dict: torch.save(model.state_dict(), file).`,
    );
  const whole = [...childrenOf(root)].find(([, value]) => isWholeModule(value));
  if (whole)
    return fail(
      `its ${quote(whole[0])} is a whole module, ${describe(whole[1])}, no state dict; its code is not run. In PyTorch load it where its class is defined, and save its state dict: torch.save(checkpoint[${quote(whole[0])}].state_dict(), file).`,
    );
  if (!items) return fail(`it holds ${describe(root)}, no dict of tensors. ${SAVE}`);
  if (items.size === 0) return { arrays: new Map(), within: 'file' };
  return fail(
    `it holds no tensors at its top or in a dict there; its keys are ${listed([...items.keys()], describe)}. ${SAVE}`,
  );
}

/** Finds the arrays that `from` names. */
async function named(
  format: string,
  root: Pickled,
  from: string,
  dicts: Dicts,
  notes: Notes,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, Pickled>> {
  const fail = (reason: string): never => {
    throw new FileFormatError(format, reason);
  };
  const at = descend(root, from);
  if (at !== undefined) {
    const candidate = dicts.candidate(at, from);
    if (candidate) return arraysOf(format, candidate.dict, notes);
    const pieces = await dicts.below(at, signal);
    if (pieces.length > 0) return arraysOf(format, joined(pieces, '').dict, notes);
    if (isWholeModule(at))
      return fail(
        `its ${quote(from)} is a whole module, ${describe(at)}, no state dict. Save its state dict: torch.save(model.state_dict(), file).`,
      );
  }
  // A prefix of names: `generator` of {'generator.conv.weight': ..., 'discriminator.conv.weight': ...}.
  const candidates = [dicts.candidate(root, ''), ...(await dicts.below(root, signal))].filter(
    (found) => found !== undefined,
  );
  for (const { path, dict } of candidates) {
    const prefix = path && from.startsWith(`${path}.`) ? from.slice(path.length + 1) : from;
    const chosen = under(arraysOf(format, dict, notes), prefix);
    if (chosen) return chosen;
  }
  const paths = candidates.flatMap(({ path }) => (path ? [path] : []));
  return fail(
    `it has no dict of tensors under ${quote(from)}, which the option 'from' (cnn: --weights-key) names; ${paths.length > 0 ? `it has ${listed(paths, quote)}` : 'it has none under a key'}.`,
  );
}

/** Follows keys joined by dots, which may contain dots themselves; undefined if there is no such value. */
function descend(root: Pickled, path: string): Pickled | undefined {
  let open: (readonly [Pickled, string])[] = [[root, path]];
  // Each step consumes a key, so the rests get shorter; `seen` bounds their number for keys that repeat.
  const seen = new Map<Pickled, Set<string>>();
  while (open.length > 0) {
    const next: [Pickled, string][] = [];
    for (const [value, rest] of open)
      for (const [key, item] of childrenOf(value)) {
        if (key === rest) return item;
        if (key === '' || !rest.startsWith(`${key}.`)) continue;
        const left = rest.slice(key.length + 1);
        const known = seen.get(item) ?? new Set();
        if (known.has(left)) continue;
        seen.set(item, known.add(left));
        next.push([item, left]);
      }
    open = next;
  }
  return undefined;
}

/** Gives the text of a key, also of one that is too long for a name. */
function textOf(key: Pickled): string | undefined {
  const value = isTag(key, 'key') ? key.value : key;
  return typeof value === 'string' ? value : undefined;
}

/**
 * Gives the arrays of a dict by name, in its order; other values are left out, and, with a note, arrays whose key
 * is no text.
 * @throws FileFormatError if no array has a text as key, and for a name that is too long.
 */
function arraysOf(format: string, dict: ReadonlyMap<Pickled, Pickled>, notes: Notes): Map<string, Pickled> {
  const arrays = new Map<string, Pickled>();
  const unnamed: Pickled[] = [];
  const countName = nameCounter(format);
  for (const [key, item] of dict) {
    if (!isArray(item)) continue;
    const name = textOf(key);
    if (name !== undefined) countName(name);
    if (typeof key === 'string') arrays.set(key, item);
    else unnamed.push(key);
  }
  if (unnamed.length > 0 && arrays.size === 0)
    throw new FileFormatError(format, `a tensor has the key ${describe(unnamed[0])}; keys are names`);
  if (unnamed.length > 0) notes.names(`Left out, as their keys are no names: ${listed(unnamed, describe)}.`);
  return arrays;
}

/**
 * Gives the parameters and buffers of a TorchScript program: the arrays among the attributes of its modules,
 * by path. Undefined if the value is no object with attributes.
 * @param maxModules - number of objects looked at.
 * @throws FileFormatError for a path that is too long for a name.
 */
export function scriptedArrays(
  format: string,
  root: Pickled,
  maxModules: number,
): ReadonlyMap<string, Pickled> | undefined {
  if (!isTag(root, 'instance') || !itemsOf(root.state)) return undefined;
  const arrays = new Map<string, Pickled>();
  const countName = nameCounter(format);
  const seen = new Set<Pickled>([root]);
  // A stack, so that the order is that of the attributes, depth first, as in a state dict.
  const open: [path: string, value: Pickled][] = [['', root]];
  while (open.length > 0 && seen.size <= maxModules) {
    const [path, value] = open.pop()!;
    requireName(format, path);
    if (isArray(value)) {
      countName(path);
      arrays.set(path, value);
      continue;
    }
    if (!isTag(value, 'instance')) continue;
    const inner: [string, Pickled][] = [];
    for (const [key, item] of itemsOf(value.state) ?? []) {
      const name = textOf(key);
      if (name === undefined || typeof item !== 'object' || item === null) continue;
      const isModule = isTag(item, 'instance');
      if (!isArray(item) && !(isModule && !seen.has(item))) continue;
      if (isModule) seen.add(item);
      inner.push([path ? `${path}.${name}` : name, item]);
    }
    open.push(...inner.reverse());
  }
  return arrays;
}
