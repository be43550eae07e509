/** Adds up the partial sums of a weight's gradient. */
import { FLOAT } from '../../codegen/kernel.js';
import type { Pointer } from '../../memory/region.js';
import type { LoweringContext } from '../../schedule/context.js';
import { splitByUnit } from '../../schedule/ranges.js';
import { type SumParts, sumParts } from './sumPartsKernel.js';

/** Partial sums of a matrix, as [part][row][column], with rows padded to a multiple of eight columns. */
export interface PartialSums {
  readonly at: Pointer;
  /** Number of parts. */
  readonly count: number;
  /** Bytes of a part. */
  readonly bytes: number;
  /** Algorithm label of the phases that compute them. */
  readonly algorithm: string;
}

/**
 * Columns per call where columns are scattered in the target: one cache line of the source. The addresses of
 * scattered columns lie far apart, often in few sets of the cache.
 */
const SCATTERED_COLUMNS = 16;

/**
 * Adds the phase that adds up partial sums and stores them in row-major order.
 * @param matrices - offsets of matrices in the partial sums and in the result, in bytes.
 * @param shape - layout of one matrix; threads share its `channels`, of `taps` rows each.
 */
export function sumPartsPhase(
  p: LoweringContext,
  partial: PartialSums,
  to: Pointer,
  matrices: readonly { readonly from: number; readonly to: number }[],
  { channels, columns, ...layout }: Omit<SumParts, 'parts' | 'partBytes'> & { readonly channels: number },
): void {
  const width = layout.to.column === FLOAT ? columns : SCATTERED_COLUMNS;
  const pieces = matrices.flatMap((matrix) =>
    Array.from({ length: Math.ceil(columns / width) }, (_, index) => ({
      from: matrix.from + index * width * FLOAT,
      to: matrix.to + index * width * layout.to.column,
      columns: Math.min(width, columns - index * width),
    })),
  );
  p.parallelFor(partial.algorithm, pieces.length * channels, (from, end) =>
    splitByUnit([from, end], channels).map(({ unit, first, count }) => {
      const piece = pieces[unit]!;
      const shape = { ...layout, columns: piece.columns, parts: partial.count, partBytes: partial.bytes };
      const add = p.kernel(sumParts, shape);
      return add({
        from: partial.at.plus(piece.from + first * layout.from.channel),
        to: to.plus(piece.to + first * layout.to.channel),
        channels: count,
      });
    }),
  );
}
