/** Gradients of pooling. A picture's dx is made by one thread, window by window in order, as windows overlap. */
import type { Node } from '../../../../graph/graph.js';
import { type AdaptivePoolAttrs, adaptiveRange } from '../../../../ops/adaptivePool.js';
import type { AvgPoolAttrs, MaxPoolAttrs } from '../../../../ops/pool.js';
import { CHANNEL_BLOCK, FLOAT } from '../../codegen/kernel.js';
import type { Pixels } from '../../memory/layout.js';
import { type Call, type Planner, shareOf } from '../../schedule/planner.js';
import { insideWindow } from '../data/padding.js';
import {
  channelGroups,
  copyLoops,
  copyPhaseOf,
  float32Bits,
  type Lowering,
  pixelsOf,
  zeroPhase,
  zeros,
} from '../lowering.js';
import { poolDivisor } from './pool.js';
import { poolGradient } from './poolGradientKernel.js';
import type { Reduction } from './poolKernel.js';

export const lowerMaxPoolGrad: Lowering<MaxPoolAttrs> = (p, node) => sliding(p, node, node.attrs, 'max');

export const lowerAvgPoolGrad: Lowering<AvgPoolAttrs> = (p, node) => sliding(p, node, node.attrs, 'mean');

export const lowerAdaptiveMaxPoolGrad: Lowering<AdaptivePoolAttrs> = (p, node) => adaptive(p, node, 'max');

export const lowerAdaptiveAvgPoolGrad: Lowering<AdaptivePoolAttrs> = (p, node) => adaptive(p, node, 'mean');

export const lowerGlobalAvgPoolGrad: Lowering<object> = (p, node) => adaptive(p, node, 'mean');

/** What lies under a window in one direction: the first index, how many, and what a mean divides by. */
interface Extent {
  readonly first: number;
  readonly count: number;
  readonly divisor: number;
}

function sliding(p: Planner, node: Node, attrs: MaxPoolAttrs | AvgPoolAttrs, reduction: Reduction): void {
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
  sendBack(
    p,
    node,
    reduction,
    dilation,
    (size, row) => extent(0, size, row),
    (size, column) => extent(1, size, column),
  );
}

function adaptive(p: Planner, node: Node, reduction: Reduction): void {
  const extent = (size: number, index: number, outputs: number): Extent => {
    const [first, end] = adaptiveRange(index, size, outputs);
    return { first, count: end - first, divisor: end - first };
  };
  sendBack(p, node, reduction, [1, 1], extent, extent);
}

type ExtentOf = (size: number, index: number, outputs: number) => Extent;

function sendBack(
  p: Planner,
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
  /** Outputs of a row whose windows look the same and lie a constant distance apart. */
  const runs: { readonly start: number; count: number; readonly step: number }[] = [];
  for (const [column, extent] of columns.entries()) {
    const last = runs.at(-1);
    const before = columns[column - 1];
    const following = columns[column + 1];
    const step = before ? extent.first - before.first : 0;
    if (
      last &&
      (step === last.step || last.count === 1) &&
      before?.count === extent.count &&
      before.divisor === extent.divisor
    )
      runs[runs.length - 1] = { start: last.start, count: last.count + 1, step };
    else runs.push({ start: column, count: 1, step: following ? following.first - extent.first : 0 });
  }
  p.algorithm(`${reduction} pool`);
  zero(p, dx);
  const groups = channelGroups(dx.c);
  // Few pictures cannot be shared out; their channels can.
  const chunks = Math.min(groups, Math.max(1, Math.ceil(p.threads / dx.n)));
  p.spread(dx.n * chunks, (from, to) =>
    Array.from({ length: to - from }, (_, i) => {
      const [image, chunk] = [Math.floor((from + i) / chunks), (from + i) % chunks];
      const [firstGroup, endGroup] = shareOf(groups, chunk, chunks);
      const channel = firstGroup * CHANNEL_BLOCK * FLOAT;
      return rows.flatMap((row, index) =>
        runs.map((run): Call => {
          const under = columns[run.start]!;
          const at = (value: Pixels) =>
            value.at.plus(image * value.image + row.first * value.row + under.first * value.pixel + channel);
          const call = p.kernel(poolGradient, {
            reduction,
            rows: row.count,
            columns: under.count,
            row: { x: dilation[0] * x.row, dx: dilation[0] * dx.row },
            column: { x: dilation[1] * x.pixel, dx: dilation[1] * dx.pixel },
            step: { x: run.step * x.pixel, dx: run.step * dx.pixel, dy: dy.pixel },
          });
          return call({
            x: at(x),
            dx: at(dx),
            dy: dy.at.plus(image * dy.image + index * dy.row + run.start * dy.pixel + channel),
            outputs: run.count,
            groups: endGroup - firstGroup,
            factor: float32Bits(1 / (row.divisor * under.divisor)),
          });
        }),
      );
    }).flat(),
  );
}

/** Makes pictures zero: all at once if nothing else lies between their pixels. */
function zero(p: Planner, value: Pixels): void {
  const { n, c, h, w, image, row, pixel } = value;
  const whole = row === w * pixel && image === h * row && pixel === channelGroups(c) * CHANNEL_BLOCK * FLOAT;
  if (whole) zeroPhase(p, value.at, n * image);
  else
    copyPhaseOf(
      p,
      zeros(p, c),
      value.at,
      copyLoops([n, h, w, c], [0, 0, 0, 1], [image / FLOAT, row / FLOAT, pixel / FLOAT, 1]),
    );
}
