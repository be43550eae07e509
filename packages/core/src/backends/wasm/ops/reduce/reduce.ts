/**
 * Sums over pixels, and sums along axes. Sums over pixels are computed as partial sums whose number depends on the
 * shape alone, and these are added up in order: results are the same for any number of threads, and lose fewer
 * digits than a single long sum.
 */
import type { Node } from '../../../../graph/graph.js';
import type { EpsAttrs } from '../../../../ops/batchNorm.js';
import type { SumToAttrs } from '../../../../ops/reduce.js';
import { CHANNEL_BLOCK, FLOAT, paddedChannels } from '../../codegen/kernel.js';
import { type Pixels, pixelRuns, stridesOf } from '../../memory/layout.js';
import type { Pointer } from '../../memory/region.js';
import type { LoweringContext } from '../../schedule/context.js';
import type { Call } from '../../schedule/kernelCache.js';
import { indices, type Range, shareOf, splitByUnit } from '../../schedule/ranges.js';
import { channelGroups, type Lowering, parallelForItems, pixelsOf } from '../lowering.js';
import { finishSums, pixelCounts, type Summand, sumPixels, sumValues } from './reduceKernel.js';

/** Pixels of a partial sum, more only if there would be more than `MAX_PARTS`. */
const PART_PIXELS = 64;
/** Maximum number of partial sums. */
const MAX_PARTS = 64;

/** y = factor * the sum of a summand over all pixels, optionally divided by sqrt(variance + eps). */
interface PixelSums {
  readonly summand: Summand;
  readonly x: Pixels;
  readonly dy?: Pixels;
  readonly mean?: Pointer;
  /** One value for each channel. */
  readonly y: Pointer;
  /** 1 by default. */
  readonly factor?: number;
  /** If given, sums are divided by sqrt(variance + eps). */
  readonly deviation?: { readonly variance: Pointer; readonly eps: number };
}

/** Adds the phases of one or more sums over pixels of the same extents. */
export function sumPixelsPhases(p: LoweringContext, all: readonly PixelSums[]): void {
  const [{ x: first }] = all as [PixelSums];
  const pixels = first.n * first.h * first.w;
  const count = Math.min(MAX_PARTS, Math.ceil(pixels / PART_PIXELS));
  const groups = channelGroups(first.c);
  const partBytes = paddedChannels(first.c) * FLOAT;
  const sums = all.map(({ summand, x, dy = x, mean }) => {
    const at = p.workspace(count * partBytes);
    const runs = pixelRuns(x, dy);
    const addPixels = p.kernel(sumPixels, { summand, pixel: { x: x.pixelStride, dy: dy.pixelStride } });
    const calls = (part: number): readonly Call[] => {
      return splitByUnit(shareOf(pixels, part, count), runs.pixels).map((piece) =>
        addPixels({
          sums: at.plus(part * partBytes),
          x: runs.at(x, piece.unit, piece.first),
          dy: runs.at(dy, piece.unit, piece.first),
          mean,
          ...pixelCounts(piece.count),
          groups,
          first: piece.before === 0 ? 1 : 0,
        }),
      );
    };
    return { at, calls };
  });
  p.parallelFor('sum over pixels', count, (from, to) =>
    indices([from, to]).flatMap((part) => sums.flatMap(({ calls }) => calls(part))),
  );
  p.parallelFor('sum over pixels', groups, (from, to) =>
    all.map(({ y, factor = 1, deviation }, index) => {
      const at = (pointer: Pointer) => pointer.plus(from * CHANNEL_BLOCK * FLOAT);
      const finish = p.kernel(finishSums, { parts: count, partBytes, eps: deviation?.eps });
      return finish({
        from: at(sums[index]!.at),
        variance: deviation && at(deviation.variance),
        y: at(y),
        factor,
        groups: to - from,
      });
    }),
  );
}

const pixelCount = ({ n, h, w }: Pixels): number => n * h * w;

export const lowerChannelSum: Lowering<object> = (p, node) =>
  sumPixelsPhases(p, [{ summand: 'value', x: pixelsOf(p, node.inputs[0]!), y: p.value(node).at }]);

export const lowerChannelMean: Lowering<object> = (p, node) => {
  const x = pixelsOf(p, node.inputs[0]!);
  sumPixelsPhases(p, [{ summand: 'value', x, y: p.value(node).at, factor: 1 / pixelCount(x) }]);
};

export const lowerChannelVariance: Lowering<object> = (p, node) => {
  const [input, mean] = node.inputs as [Node, Node];
  const x = pixelsOf(p, input);
  sumPixelsPhases(p, [
    { summand: 'square', x, mean: p.value(mean).at, y: p.value(node).at, factor: 1 / pixelCount(x) },
  ]);
};

export const lowerBatchNormGradWeight: Lowering<EpsAttrs> = (p, node) => {
  const [dy, x, mean, variance] = node.inputs as [Node, Node, Node, Node];
  sumPixelsPhases(p, [
    {
      summand: 'product',
      x: pixelsOf(p, x),
      dy: pixelsOf(p, dy),
      mean: p.value(mean).at,
      y: p.value(node).at,
      deviation: { variance: p.value(variance).at, eps: node.attrs.eps },
    },
  ]);
};

/** Sums along the axes where the result has one element. */
export const lowerSumTo: Lowering<SumToAttrs> = (p, node) => {
  const [input] = node.inputs as [Node];
  const [from, to] = [stridesOf(p.value(input), input.shape), stridesOf(p.value(node), node.shape)];
  const axes = input.shape.map((count, axis) => ({
    count,
    summed: node.shape[axis] === 1,
    from: from[axis]! * FLOAT,
    to: to[axis]! * FLOAT,
  }));
  const loops = axes.filter(({ summed }) => summed).map(({ count, from: stride }) => ({ count, stride }));
  const remaining = axes.filter(({ summed, count }) => !summed && count > 1);
  const innermost = remaining.at(-1) ?? { count: 1, from: 0, to: 0 };
  const outer = remaining.slice(0, -1);
  const add = p.kernel(sumValues, { loops, from: innermost.from, to: innermost.to });
  const rows = outer.reduce((product, { count }) => product * count, 1);
  const call = (row: number, [start, end]: Range): Call => {
    let rest = row;
    let [x, y] = [start * innermost.from, start * innermost.to];
    for (const axis of [...outer].reverse()) {
      x += (rest % axis.count) * axis.from;
      y += (rest % axis.count) * axis.to;
      rest = Math.floor(rest / axis.count);
    }
    return add({ x: p.value(input).at.plus(x), y: p.value(node).at.plus(y), count: end - start });
  };
  const work = { items: rows, parts: innermost.count, shareParts: rows < innermost.count };
  parallelForItems(p, 'sum', work, call);
};
