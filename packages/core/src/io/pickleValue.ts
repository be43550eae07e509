/** The values that a pickle is read as: plain data, with inert tags for classes, calls and persistent ids. */
import { excerpt } from '../printable.js';
import { MAX_NAME } from './limits.js';
import { quote } from './quote.js';

/** The name of a Python class or function (GLOBAL). */
export interface Global {
  readonly kind: 'global';
  readonly module: string;
  readonly name: string;
}

/** Parts of an object that instructions after its creation give it. */
interface Contents {
  /** Attributes or other state (BUILD). */
  state?: Pickled;
  /** Items (SETITEMS), of an object that is a dict of some class. */
  items?: Map<Pickled, Pickled>;
}

/** A call of a class or function (REDUCE), with its arguments; never executed. */
export interface Call extends Contents {
  readonly kind: 'call';
  readonly callee: Global;
  readonly args: readonly Pickled[];
}

/** An instance of a class (NEWOBJ); its arguments are dropped. */
export interface Instance extends Contents {
  readonly kind: 'instance';
  readonly of: Global;
}

/**
 * A number or a long text as the key of a dict. A file could choose numbers, and texts of more than `MAX_NAME`
 * characters, whose hashes in a JavaScript Map collide, and a million of them would take minutes; an object's are random.
 */
export interface OpaqueKey {
  readonly kind: 'key';
  readonly value: number | string;
}

/** A reference to an object outside the pickle (BINPERSID): in PyTorch's files, to a storage. */
export interface Persistent {
  readonly kind: 'persistent';
  readonly id: Pickled;
}

/** A Python value. Lists, tuples and sets are arrays; dicts are maps. It may contain itself. */
export type Pickled =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Pickled[]
  | ReadonlyMap<Pickled, Pickled>
  | Global
  | Call
  | Instance
  | OpaqueKey
  | Persistent;

/** Gives the value as a key of a Map. */
export const keyOf = (value: Pickled): Pickled =>
  typeof value === 'number' || (typeof value === 'string' && value.length > MAX_NAME)
    ? { kind: 'key', value }
    : value;

/** True if a value is a tag of that kind. */
export const isTag = <K extends 'global' | 'call' | 'instance' | 'key' | 'persistent'>(
  value: Pickled | undefined,
  kind: K,
): value is Extract<Pickled, { readonly kind: K }> =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === kind;

/** Gives the items of a dict, or of an object of another class that has items; else undefined. */
export function itemsOf(value: Pickled | undefined): ReadonlyMap<Pickled, Pickled> | undefined {
  if (value instanceof Map) return value;
  return isTag(value, 'call') || isTag(value, 'instance') ? value.items : undefined;
}

/** Describes a value in a few words, for messages. Does not descend: a crafted value can contain itself. */
export function describe(value: Pickled | undefined): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return quote(value);
  if (value === null || typeof value !== 'object') return String(value);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (value instanceof Map) return `a dict of ${value.size}`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (isTag(value, 'global')) return qualifiedName(value);
  if (isTag(value, 'call')) return `${qualifiedName(value.callee)}(...)`;
  if (isTag(value, 'key')) return describe(value.value);
  if (isTag(value, 'instance')) return `an instance of ${qualifiedName(value.of)}`;
  return 'a reference';
}

/** Writes the full name of a class or function: `torch._utils._rebuild_tensor_v2`. */
export const qualifiedName = ({ module, name }: Global): string => excerpt(`${module}.${name}`);
