/**
 * Gradients of pooling. Windows overlap, so the dx of an image (or of a part of its channels) is computed by one
 * thread, window by window in order.
 */
import type { Node } from '../../../../graph/graph.js';
import { type AdaptivePoolAttrs, adaptiveRange } from '../../../../ops/adaptivePool.js';
import type { AvgPoolAttrs, MaxPoolAttrs } from '../../../../ops/pool.js';
import { CHANNEL_BLOCK, FLOAT } from '../../codegen/kernel.js';
import type { Pixels } from '../../memory/layout.js';
import type { LoweringContext } from '../../schedule/context.js';
import type { Call } from '../../schedule/kernelCache.js';
import { shareOf } from '../../schedule/ranges.js';
import { copyLoops, copyPhaseOf, zeroPhase } from '../data/copy.js';
import { insideWindow } from '../data/padding.js';
import { channelGroups, type Lowering, pixelsOf, zeros } from '../lowering.js';
import { poolDivisor } from './pool.js';
import { poolGradient } from './poolGradientKernel.js';
import type { Reduction } from './poolKernel.js';

export const lowerMaxPoolGrad: Lowering<MaxPoolAttrs> = (p, node) =>
  lowerSlidingGradient(p, node, node.attrs, 'max');

export const lowerAvgPoolGrad: Lowering<AvgPoolAttrs> = (p, node) =>
  lowerSlidingGradient(p, node, node.attrs, 'mean');

export const lowerAdaptiveMaxPoolGrad: Lowering<AdaptivePoolAttrs> = (p, node) =>
  lowerAdaptiveGradient(p, node, 'max');

export const lowerAdaptiveAvgPoolGrad: Lowering<AdaptivePoolAttrs> = (p, node) =>
  lowerAdaptiveGradient(p, node, 'mean');

export const lowerGlobalAvgPoolGrad: Lowering<object> = (p, node) => lowerAdaptiveGradient(p, node, 'mean');

/** A window along one axis: its first index and number of indices inside the image, and the divisor of a mean. */
interface Extent {
  readonly first: number;
  readonly count: number;
  readonly divisor: number;
}

function lowerSlidingGradient(
  p: LoweringContext,
  node: Node,
  attrs: MaxPoolAttrs | AvgPoolAttrs,
  reduction: Reduction,
): void {
  const { kernel, stride, padding, dilation } = attrs;
  const extent = (axis: 0 | 1, size: number, index: number): Extent => {
    const start = index * stride[axis] - padding[axis]!;
    const [first, end] = insideWindow(start, kernel[axis], dilation[axis], size);
    return {
      first: start + first * dilation[axis],
      count: end - first,
      divisor: poolDivisor(attrs, axis, size, index),
    };
  };
  poolGradientPhases(
    p,
    node,
    reduction,
    dilation,
    (size, row) => extent(0, size, row),
    (size, column) => extent(1, size, column),
  );
}

function lowerAdaptiveGradient(p: LoweringContext, node: Node, reduction: Reduction): void {
  const extent = (size: number, index: number, outputs: number): Extent => {
    const [first, end] = adaptiveRange(index, size, outputs);
    return { first, count: end - first, divisor: end - first };
  };
  poolGradientPhases(p, node, reduction, [1, 1], extent, extent);
}

/** The window of output `index` along an axis of `size` inputs and `outputs` outputs. */
type ExtentOf = (size: number, index: number, outputs: number) => Extent;

/** Adds the phases that fill dx with zeros and then add the gradients of all windows. */
function poolGradientPhases(
  p: LoweringContext,
  node: Node,
  reduction: Reduction,
  dilation: readonly [number, number],
  rowExtent: ExtentOf,
  columnExtent: ExtentOf,
): void {
  const [gradient, input] = node.inputs as [Node, Node];
  const [dy, dx] = [pixelsOf(p, gradient), pixelsOf(p, node)];
  const x = reduction === 'max' ? pixelsOf(p, input) : dx;
  const rows = Array.from({ length: dy.h }, (_, row) => rowExtent(x.h, row, dy.h));
  const columns = Array.from({ length: dy.w }, (_, column) => columnExtent(x.w, column, dy.w));
  /** Runs of outputs in a row with windows of equal width and divisor, a constant number of columns apart. */
  const runs: { readonly start: number; count: number; readonly step: number }[] = [];
  for (const [column, extent] of columns.entries()) {
    const last = runs.at(-1);
    const previous = columns[column - 1];
    const next = columns[column + 1];
    const step = previous ? extent.first - previous.first : 0;
    if (
      last &&
      (step === last.step || last.count === 1) &&
      previous?.count === extent.count &&
      previous.divisor === extent.divisor
    )
      runs[runs.length - 1] = { start: last.start, count: last.count + 1, step };
    else runs.push({ start: column, count: 1, step: next ? next.first - extent.first : 0 });
  }
  fillWithZeros(p, dx);
  const groups = channelGroups(dx.c);
  // If there are fewer images than threads, threads share their channels too.
  const chunks = Math.min(groups, Math.max(1, Math.ceil(p.threads / dx.n)));
  p.parallelFor(`${reduction} pool`, dx.n * chunks, (from, to) =>
    Array.from({ length: to - from }, (_, i) => {
      const [image, chunk] = [Math.floor((from + i) / chunks), (from + i) % chunks];
      const [firstGroup, endGroup] = shareOf(groups, chunk, chunks);
      const channel = firstGroup * CHANNEL_BLOCK * FLOAT;
      return rows.flatMap((row, index) =>
        runs.map((run): Call => {
          const column = columns[run.start]!;
          const at = (value: Pixels) =>
            value.at.plus(
              image * value.imageStride +
                row.first * value.rowStride +
                column.first * value.pixelStride +
                channel,
            );
          const call = p.kernel(poolGradient, {
            reduction,
            rows: row.count,
            columns: column.count,
            row: { x: dilation[0] * x.rowStride, dx: dilation[0] * dx.rowStride },
            column: { x: dilation[1] * x.pixelStride, dx: dilation[1] * dx.pixelStride },
            step: { x: run.step * x.pixelStride, dx: run.step * dx.pixelStride, dy: dy.pixelStride },
          });
          return call({
            x: at(x),
            dx: at(dx),
            dy: dy.at.plus(
              image * dy.imageStride + index * dy.rowStride + run.start * dy.pixelStride + channel,
            ),
            outputs: run.count,
            groups: endGroup - firstGroup,
            factor: 1 / (row.divisor * column.divisor),
          });
        }),
      );
    }).flat(),
  );
}

/** Fills images with zeros: as one range of memory if they are contiguous, else channel by channel. */
function fillWithZeros(p: LoweringContext, value: Pixels): void {
  const { n, c, h, w, imageStride, rowStride, pixelStride } = value;
  const contiguous =
    rowStride === w * pixelStride &&
    imageStride === h * rowStride &&
    pixelStride === channelGroups(c) * CHANNEL_BLOCK * FLOAT;
  if (contiguous) zeroPhase(p, value.at, n * imageStride);
  else
    copyPhaseOf(
      p,
      zeros(p, c),
      value.at,
      copyLoops([n, h, w, c], [0, 0, 0, 1], [imageStride / FLOAT, rowStride / FLOAT, pixelStride / FLOAT, 1]),
    );
}
