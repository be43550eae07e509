/** Adds up the partial sums of a weight's gradient. */
import { FLOAT } from '../../codegen/kernel.js';
import type { Pointer } from '../../memory/region.js';
import type { Call, Planner } from '../../schedule/planner.js';
import { type SumParts, sumParts } from './sumPartsKernel.js';

/** Partial sums of a matrix, as [part][row][column], with rows padded to a multiple of eight columns. */
export interface PartialSums {
  readonly at: Pointer;
  /** Number of parts. */
  readonly count: number;
  /** Bytes of a part. */
  readonly bytes: number;
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
  p: Planner,
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
  p.parallelFor(pieces.length * channels, (first, last) => {
    const calls: Call[] = [];
    for (let item = first; item < last; ) {
      const index = Math.floor(item / channels);
      const end = Math.min(last, (index + 1) * channels);
      const channel = item - index * channels;
      const piece = pieces[index]!;
      const shape = { ...layout, columns: piece.columns, parts: partial.count, partBytes: partial.bytes };
      const add = p.kernel(sumParts, shape);
      calls.push(
        add({
          from: partial.at.plus(piece.from + channel * layout.from.channel),
          to: to.plus(piece.to + channel * layout.to.channel),
          channels: end - item,
        }),
      );
      item = end;
    }
    return calls;
  });
}
