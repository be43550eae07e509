/** Ranges of work: a thread's share, and the pieces of a range that lie within one row, image or panel. */

/** A range of indices, from the first up to but not including the end. */
export type Range = readonly [from: number, to: number];

/** Returns a thread's share of `total` units of work. */
export const shareOf = (total: number, thread: number, threads: number): Range => [
  Math.floor((total * thread) / threads),
  Math.floor((total * (thread + 1)) / threads),
];

/** Lists the indices of a range. */
export const indices = ([from, to]: Range): readonly number[] =>
  Array.from({ length: to - from }, (_, i) => from + i);

/** A piece of a range of indices that are counted through units of equal size. */
export interface Piece {
  /** The unit that the piece lies in. */
  readonly unit: number;
  /** First index within the unit. */
  readonly first: number;
  /** Number of indices, at least one. */
  readonly count: number;
  /** Number of indices of the range that come before the piece. */
  readonly before: number;
}

/**
 * Splits a range at the borders between units: pixels at the ends of rows, rows at the ends of images.
 * @param size - number of indices of a unit.
 */
export function splitByUnit([from, to]: Range, size: number): readonly Piece[] {
  const pieces: Piece[] = [];
  for (let at = from; at < to; ) {
    const unit = Math.floor(at / size);
    const end = Math.min(to, (unit + 1) * size);
    pieces.push({ unit, first: at - unit * size, count: end - at, before: at - from });
    at = end;
  }
  return pieces;
}
