/**
 * The calls that a pickle may make. None is executed: those of Python's dicts and lists become plain ones,
 * all others are recorded as data, whatever their name.
 */
import { type Global, isTag, type Pickled } from './pickleValue.js';

const dicts = /^(collections (OrderedDict|defaultdict|Counter)|(__builtin__|builtins) dict)$/;
const lists = /^((__builtin__|builtins) (set|frozenset|list|tuple)|torch Size|collections deque)$/;

const reconstructor = /^copy_?reg _reconstructor$/;

/** Gives a value as a key of a dict. */
export type KeyIn = (dict: ReadonlyMap<Pickled, Pickled>, key: Pickled) => Pickled;

/** True if instances of that class are dicts, whose items are kept. */
export const isDictClass = ({ module, name }: Global): boolean => dicts.test(`${module} ${name}`);

/** Modules of the calls that make arrays. */
const arrays = /^(torch\._utils|torch\._tensor|numpy\b.*)$/;

/** True if Python makes an array by that call, and reads its arguments at once. */
export const makesArray = ({ module }: Global): boolean => arrays.test(module);

/**
 * Freezes a list and the lists in it, which a call reads at once: what is appended later would change an array that
 * Python has made already. Each list is visited once.
 */
export function freeze(value: Pickled): void {
  const open = [value];
  for (let list = open.pop(); list !== undefined; list = open.pop()) {
    if (!Array.isArray(list) || Object.isFrozen(list)) continue;
    Object.freeze(list);
    for (const item of list as readonly Pickled[]) if (Array.isArray(item)) open.push(item);
  }
}

/**
 * Gives the value that a call is read as.
 * @param spend - called with the number of items copied, which count towards the limit on objects.
 * @param keyIn - makes the keys of the dict.
 */
export function callOf(
  callee: Global,
  args: readonly Pickled[],
  spend: (items: number) => void,
  keyIn: KeyIn,
): Pickled {
  const name = `${callee.module} ${callee.name}`;
  if (lists.test(name)) {
    const items = args[0];
    if (!Array.isArray(items)) return [];
    spend(items.length);
    return [...items];
  }
  if (!dicts.test(name)) {
    // Protocols 0 and 1 make an object of a class derived from dict by `_reconstructor(class, dict, items)`.
    const [, base, content] = args;
    const derived = reconstructor.test(name) && isTag(base, 'global') && isDictClass(base);
    return { kind: 'call', callee, args, ...(derived && content instanceof Map ? { items: content } : {}) };
  }
  // OrderedDict([[key, value], ...]), Counter({...}), and defaultdict(list), whose argument is not its items.
  const items = args.find((arg) => Array.isArray(arg) || arg instanceof Map);
  if (items instanceof Map) {
    spend(items.size);
    return new Map(items);
  }
  const result = new Map<Pickled, Pickled>();
  if (!Array.isArray(items)) return result;
  spend(items.length);
  for (const item of items as readonly Pickled[])
    if (Array.isArray(item) && item.length === 2) result.set(keyIn(result, item[0]), item[1]);
  return result;
}
