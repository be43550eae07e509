/** The values that a pickle is read as: plain data, with inert tags for classes, calls and persistent ids. */
import { quote } from './quote.js';

/** The name of a Python class or function (GLOBAL). */
export interface Global {
  readonly kind: 'global';
  readonly module: string;
  readonly name: string;
}

/**
 * A call of a class or function on the list in pickleCalls.ts (REDUCE), with its arguments; never executed.
 */
export interface Call {
  readonly kind: 'call';
  readonly callee: Global;
  readonly args: readonly Pickled[];
}

/** An instance of any other class (NEWOBJ); its arguments and state are dropped. */
export interface Instance {
  readonly kind: 'instance';
  readonly of: Global;
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
  | Persistent;

/** True if a value is a tag of that kind. */
export const isTag = <K extends 'global' | 'call' | 'instance' | 'persistent'>(
  value: Pickled | undefined,
  kind: K,
): value is Extract<Pickled, { readonly kind: K }> =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === kind;

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
  if (isTag(value, 'instance')) return `an instance of ${qualifiedName(value.of)}`;
  return 'a reference';
}

/** Writes the full name of a class or function: `torch._utils._rebuild_tensor_v2`. */
export const qualifiedName = ({ module, name }: Global): string => quote(`${module}.${name}`).slice(1, -1);
