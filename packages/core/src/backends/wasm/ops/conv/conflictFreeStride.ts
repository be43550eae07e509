/** A stride that avoids cache set conflicts between the rows or matrices that it separates. */
import { CACHE_LINE, FLOAT } from '../../codegen/kernel.js';

/**
 * Bytes from one run of floats to the next, rounded up to an odd number of cache lines. At a multiple of 4096
 * bytes, runs would map to the same set of the first-level cache: Winograd transforms, which touch all
 * matrices of a tile, took 1.4 to 3.6 times as long.
 * @param floats - length of one run.
 */
export const conflictFreeStride = (floats: number): number =>
  (Math.ceil((floats * FLOAT) / CACHE_LINE) | 1) * CACHE_LINE;
