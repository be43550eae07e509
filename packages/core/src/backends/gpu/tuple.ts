/** Lists of known length: coordinates of kernels, inputs of nodes. */

/** List of `N` elements. */
export type Tuple<T, N extends number, List extends readonly T[] = readonly []> = List['length'] extends N
  ? List
  : Tuple<T, N, readonly [...List, T]>;

/**
 * Requires a list to have a number of elements.
 * @throws Error if it has another one.
 */
export function tuple<T, N extends number>(list: readonly T[], length: N): Tuple<T, N> {
  if (!hasLength(list, length))
    throw new Error(`A kernel of the gpu back end expects ${length} elements, got ${list.length}.`);
  return list;
}

const hasLength = <T, N extends number>(list: readonly T[], length: N): list is Tuple<T, N> & readonly T[] =>
  list.length === length;
