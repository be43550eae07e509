/**
 * Row-wise fusion of consecutive convolutions: each thread computes rows of the last one, and of each earlier
 * one only the rows that its reader's window needs, in ring buffers in the thread's cache. Intermediate
 * values never go to memory. At the border between the rows of two threads, both compute the rows that both
 * need.
 */

import { type Pixels, rowAt } from '../../../memory/layout.js';
import type { Pointer } from '../../../memory/region.js';
import type { LoweringContext } from '../../../schedule/context.js';
import type { Call } from '../../../schedule/kernelCache.js';
import { splitByUnit } from '../../../schedule/ranges.js';
import { type RowMatmul, type Rows, rowMatmulCalls } from '../../matmul/rowMatmul.js';
import type { DepthwiseRows } from '../depthwise/depthwise.js';
import type { FirstConvRows } from '../firstConv.js';

/** Minimum number of output pixels of a step, so that matrix products have full tiles. */
const STEP_PIXELS = 56;

/** Row kernel of a convolution. */
type RowAlgorithm =
  /** `sums` is the address of the sums of its output rows, counted through all images, if they are needed. */
  | { readonly kind: 'depthwise'; readonly rows: DepthwiseRows; readonly sums?: Pointer }
  | { readonly kind: 'pointwise'; readonly matmul: RowMatmul; readonly residual?: Pixels }
  /** The network's first convolution, which reads the NCHW input. */
  | { readonly kind: 'firstConv'; readonly rows: FirstConvRows };

/** A convolution of the chain, with the extents of its output. The stride is in bytes. */
export interface Stage {
  readonly algorithm: RowAlgorithm;
  readonly h: number;
  readonly w: number;
  readonly pixelStride: number;
}

/** Ring buffers of a stage's output rows, one for each thread. */
interface RingBuffer {
  /** Number of rows in a ring. */
  readonly rows: number;
  readonly rowStride: number;
  readonly at: readonly Pointer[];
}

/**
 * Adds the phase that computes all stages.
 * @param x - input of the first stage; undefined if that is a first convolution.
 * @param y - output of the last stage.
 */
export function rowWisePhase(
  p: LoweringContext,
  stages: readonly Stage[],
  x: Pixels | undefined,
  y: Pixels,
): void {
  const last = stages.at(-1)!;
  const share = Math.ceil((y.n * y.h) / p.threads);
  const step = Math.max(1, Math.min(share, y.h, Math.ceil(STEP_PIXELS / y.w)));
  // Maximum number of rows that each stage computes at once: what its reader needs for a step.
  const maxRows = new Map([[last, step]]);
  const buffers = new Map<Stage, RingBuffer>();
  for (let i = stages.length - 2; i >= 0; i--) {
    const [stage, reader] = [stages[i]!, stages[i + 1]!];
    const readerRows = maxRows.get(reader)!;
    const rows =
      reader.algorithm.kind === 'depthwise'
        ? Math.min(stage.h, reader.algorithm.rows.span(readerRows))
        : readerRows;
    const rowStride = stage.w * stage.pixelStride;
    maxRows.set(stage, rows);
    buffers.set(stage, { rows, rowStride, at: p.workspacePerThread(rows * rowStride) });
  }

  p.parallelFor('row-wise', y.n * y.h, (from, to, thread) => {
    return splitByUnit([from, to], y.h).flatMap(({ unit: image, first, count }) =>
      imageCalls(image, first, first + count, thread),
    );
  });

  /** Returns the calls that compute rows `from` to `to` of one image. */
  function imageCalls(image: number, from: number, to: number, thread: number): readonly Call[] {
    const calls: Call[] = [];
    /** End of the rows that each stage has computed. */
    const computedEnd = new Map<Stage, number>();
    const bufferedRow = (stage: Stage, row: number): Pointer => {
      const { at, rows, rowStride } = buffers.get(stage)!;
      return at[thread]!.plus((row % rows) * rowStride);
    };
    /**
     * Computes the missing rows of a stage before `end`, in pieces that do not wrap around its ring buffer.
     */
    const computeUntil = (index: number, first: number, end: number): void => {
      const stage = stages[index]!;
      const { rows, rowStride } = buffers.get(stage)!;
      for (let row = computedEnd.get(stage) ?? first; row < end; ) {
        const pieceEnd = Math.min(end, row + rows - (row % rows));
        const output = { at: bufferedRow(stage, row), rowStride, pixelStride: stage.pixelStride };
        compute(index, row, pieceEnd, output);
        computedEnd.set(stage, pieceEnd);
        row = pieceEnd;
      }
    };
    /** Computes rows of a stage, and first the rows of earlier stages that these need. */
    const compute = (index: number, first: number, end: number, output: Rows): void => {
      const stage = stages[index]!;
      const { algorithm, w } = stage;
      const previous = stages[index - 1];
      if (algorithm.kind === 'firstConv') {
        calls.push(...algorithm.rows.calls(image, [first, end], computedEnd.has(stage), output));
      } else if (algorithm.kind === 'depthwise') {
        if (previous) computeUntil(index - 1, ...algorithm.rows.inputRows(first, end));
        const xRow = (row: number): Pointer =>
          previous ? bufferedRow(previous, row) : rowAt(x!, image, row);
        for (let row = first; row < end; row++) {
          const sums = algorithm.sums?.plus((image * stage.h + row) * stage.pixelStride);
          const yRow = output.at.plus((row - first) * output.rowStride);
          calls.push(algorithm.rows.call(row, xRow, yRow, [0, algorithm.rows.groups], sums));
        }
      } else {
        // Only this 1x1 convolution reads its input rows, and only once: they are written to the buffer's
        // start each time.
        const buffer = previous && buffers.get(previous)!;
        const input = buffer
          ? { at: buffer.at[thread]!, rowStride: buffer.rowStride, pixelStride: previous.pixelStride }
          : { ...x!, at: rowAt(x!, image, first) };
        if (previous) compute(index - 1, first, end, input);
        const { matmul, residual } = algorithm;
        calls.push(
          ...rowMatmulCalls(matmul, end - first, w, input, output, {
            residual: residual && { ...residual, at: rowAt(residual, image, first) },
          }),
        );
      }
    };
    for (let row = from; row < to; row += step)
      compute(stages.length - 1, row, Math.min(row + step, to), { ...y, at: rowAt(y, image, row) });
    return calls;
  }
}
