/**
 * Understands the names of a state dict: removes what wrappers of the network put before or into them, leaves
 * out counters, and applies the rules of the caller.
 */
import { describeValue } from '../realms.js';
import type { Weights } from '../tensor/tensor.js';
import { nameCounter } from './limits.js';
import { Notes } from './notes.js';
import { listed, quote } from './quote.js';

/**
 * Maps a name in the file to the name in the model: a function (`undefined` leaves the tensor out), or a list
 * of rules. All rules are applied, in order, by `String.replace`: of a string, the first occurrence. A function
 * may carry `options`: the builder's options that weights with such names require, as `cnn --option` takes them.
 */
export type Rename =
  | (((name: string) => string | undefined) & {
      readonly options?: Readonly<Record<string, string>>;
    })
  | readonly (readonly [pattern: RegExp | string, replacement: string])[];

const asFunction = (rename: Rename): ((name: string) => string | undefined) =>
  typeof rename === 'function'
    ? rename
    : (name) =>
        (rename as readonly (readonly [RegExp | string, string])[]).reduce(
          (text, [pattern, replacement]) => text.replace(pattern, replacement),
          name,
        );

/** Parts of names that PyTorch's wrappers add, wherever they stand: torch.compile, FSDP, checkpointing, DeepSpeed. */
const wrapperParts =
  /(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\./g;

/** Gives a name up to its first dot, with it; empty if there is none. */
const firstPart = (name: string): string => name.slice(0, name.indexOf('.') + 1);

/** True for a first part that a wrapper adds to all names: DataParallel, AveragedModel; in a checkpoint, Lightning. */
const isWrapper = (part: string, within: NamesOptions<unknown>['within']): boolean =>
  part === 'module.' || (part === 'model.' && within !== 'file');

/** Removes all that wrappers may have added to a name in a checkpoint, to compare two state dicts. */
export const withoutWrappers = (name: string): string =>
  name.replace(wrapperParts, '').replace(/^(?:module\.|model\.)+/, '');

/** Wrappers around each other that are removed; a crafted file may have hundreds. */
const MAX_WRAPPERS = 16;

/** Parts of a name within which a wrapper is looked for; the cost is their number times the length of the name. */
const MAX_PARTS = 16;

/** Names of the losses and metrics that a LightningModule holds beside its network. */
const besideNetwork = /^(criterion|loss|loss_fn|\w+_loss|metrics?|\w*acc|\w*accuracy)\./;

/** Options of {@link understandNames}. */
export interface NamesOptions<T> {
  readonly rename?: Rename | undefined;
  /** See `StateDict.within`; default `'file'`. */
  readonly within?: 'file' | 'checkpoint' | 'lightning' | undefined;
  /** True if a tensor has no dimension, as counters have. Default: never. */
  readonly isScalar?: ((value: T) => boolean) | undefined;
}

/**
 * Renames the tensors of a state dict, in the same order:
 * 1. Parts of names that wrappers add are removed: `_orig_mod.` and its like anywhere; `module.` (DataParallel,
 *    AveragedModel) where all names have it, at the start or within a part of the network; in a checkpoint a
 *    `model.` that all names have; in one of Lightning any first part that all have. Tensors without
 *    dimensions (`n_averaged`), and losses in a checkpoint, need not have a prefix, and are then left out.
 * 2. Batch norm's `num_batches_tracked` is left out, which inference does not need.
 * 3. `rename` is applied.
 * @throws Error if two tensors would get one name.
 * @throws FileFormatError if hundreds would get numbers as names: see `nameCounter`.
 */
export function understandNames<T>(
  tensors: ReadonlyMap<string, T>,
  { rename = [], within = 'file', isScalar = () => false }: NamesOptions<T>,
  notes: Notes,
): Map<string, T> {
  let names: [original: string, name: string][] = [...tensors.keys()]
    .filter((name) => !/(^|\.)num_batches_tracked$/.test(name))
    .map((name) => [name, name]);
  const removed = new Set<string>();
  const replace = (change: (name: string) => string): void => {
    names = names.map(([original, name]) => [original, change(name)]);
  };
  const isExtra = (original: string, name: string): boolean =>
    isScalar(tensors.get(original)!) || (within !== 'file' && besideNetwork.test(name));
  /** Removes a prefix that all names but those of extras have, and the extras with it. */
  const strip = (prefixOf: (name: string) => string | undefined): boolean => {
    const network = names.find(([original, name]) => !isExtra(original, name));
    const prefix = network && prefixOf(network[1]);
    if (!prefix) return false;
    const beside = names.filter(([, name]) => !name.startsWith(prefix));
    if (!beside.every(([original, name]) => isExtra(original, name))) return false;
    removed.add(prefix);
    if (beside.length > 0)
      notes.names(
        `Left out, as they belong to no part of the network under ${quote(prefix)}: ${listed(beside, ([original]) => quote(original))}.`,
      );
    names = names.flatMap(([original, name]): [string, string][] =>
      name.startsWith(prefix) ? [[original, name.slice(prefix.length)]] : [],
    );
    return true;
  };
  replace((name) => {
    for (const [part] of name.matchAll(wrapperParts)) removed.add(part);
    return name.replace(wrapperParts, '');
  });
  const wrapper = (name: string): string | undefined => {
    const part = firstPart(name);
    return isWrapper(part, within) ? part : undefined;
  };
  const stripWrappers = (): void => {
    for (let i = 0; i < MAX_WRAPPERS && strip(wrapper); i++);
  };
  stripWrappers();
  // A LightningModule keeps its network under a name of its own: `net.`, `backbone.`.
  if (within === 'lightning' && !removed.has('model.') && strip(firstPart)) stripWrappers();
  const wrapped = wrappedParents(names.map(([, name]) => name));
  // A name has at most one of these parents, before its first `.module.`.
  replace((name) => {
    const parent = name.slice(0, name.indexOf('.module.') + 1);
    if (!wrapped.has(parent)) return name;
    removed.add(`${parent}module.`);
    return parent + name.slice(parent.length + 'module.'.length);
  });
  if (removed.size > 0)
    notes.names(
      `Removed ${removed.size === 1 ? 'a prefix' : 'prefixes'} from the names, which wrappers such as DataParallel add: ${[...removed].map(quote).join(', ')}.`,
    );

  const newName = asFunction(rename);
  const result = new Map<string, T>();
  const originals = new Map<string, string>();
  const countName = nameCounter('weight');
  for (const [original, plain] of names) {
    const name = newName(plain);
    if (name === undefined) continue;
    if (typeof name !== 'string')
      throw new TypeError(
        `The rename function gives ${describeValue(name)} for ${quote(plain)}; return the new name, or undefined to leave the tensor out.`,
      );
    countName(name);
    const other = originals.get(name);
    if (other !== undefined)
      throw new Error(
        `The rename rules give both ${quote(other)} and ${quote(original)} the name ${quote(name)}; change a rule, or return undefined for one of them.`,
      );
    originals.set(name, original);
    result.set(name, tensors.get(original)!);
  }
  return result;
}

/**
 * Renames weights that have been read, as `readWeights` does with its `rename` option.
 * @throws Error if two tensors would get one name.
 */
export const renameWeights = (weights: Weights, rename: Rename): Weights =>
  understandNames(weights, { rename }, new Notes());

/**
 * Finds the parts of a network that are wrapped by themselves: `features.` where all names below it start with
 * `features.module.`, as PyTorch's ImageNet example saves AlexNet and VGG.
 */
function wrappedParents(names: readonly string[]): ReadonlySet<string> {
  const parents = new Set(
    names.flatMap((name) => {
      const at = name.indexOf('.module.');
      const parent = name.slice(0, at + 1);
      return at > 0 && parent.split('.', MAX_PARTS + 2).length <= MAX_PARTS + 1 ? [parent] : [];
    }),
  );
  if (parents.size === 0) return parents;
  for (const name of names)
    for (
      let dot = name.indexOf('.'), part = 0;
      dot > 0 && part < MAX_PARTS;
      dot = name.indexOf('.', dot + 1), part++
    ) {
      const parent = name.slice(0, dot + 1);
      if (parents.has(parent) && !name.startsWith('module.', dot + 1)) parents.delete(parent);
    }
  return parents;
}
