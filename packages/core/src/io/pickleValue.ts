/** What a pickle turns into: plain data, with inert tags where Python would have classes, calls and references. */
import { quote } from './quote.js';

/** The name of a Python class or function. */
export interface Global {
  readonly kind: 'global';
  readonly module: string;
  readonly name: string;
}

/** What a known class or function would have been called with. */
export interface Call {
  readonly kind: 'call';
  readonly callee: Global;
  readonly args: readonly Pickled[];
}

/** An instance of some class; what it held is not kept. */
export interface Instance {
  readonly kind: 'instance';
  readonly of: Global;
}

/** A reference to something outside the pickle: a storage. */
export interface Persistent {
  readonly kind: 'persistent';
  readonly id: Pickled;
}

/** A Python value. Lists, tuples and sets are arrays, dicts are maps. */
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

/** Whether a value is a tag of that kind. */
export const isTag = <K extends 'global' | 'call' | 'instance' | 'persistent'>(
  value: Pickled | undefined,
  kind: K,
): value is Extract<Pickled, { readonly kind: K }> =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === kind;

/** A value in a few words, for messages. Never walks into it: a crafted value can be endless. */
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

/** `torch._utils._rebuild_tensor_v2` */
export const qualifiedName = ({ module, name }: Global): string => quote(`${module}.${name}`).slice(1, -1);
