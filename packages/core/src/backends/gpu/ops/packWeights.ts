/**
 * Packs weights in the order in which a hand-written kernel reads them: on the host, once, if they never
 * change, else by a kernel in each run.
 */
import { type Tensor, valuesOf } from '../../../tensor/tensor.js';
import { divide } from '../kernels/expression.js';
import type { PlanBuilder } from '../plan/builder.js';
import type { PlannedTensor } from '../plan/plan.js';

/** Gives the host's values of a constant in row-major order; undefined for any other tensor. */
export const constantOf = ({ origin }: PlannedTensor): Tensor | undefined =>
  origin.kind === 'constant' ? origin.values : undefined;

/**
 * Packs a weight (out x in x kh x kw, or out x in) into tiles of output channels: tile, in * kh * kw, channel
 * of the tile. The last tile is filled up with zeros.
 * @param channels - output channels of a tile.
 */
export function packOutputTiles(plan: PlanBuilder, weight: PlannedTensor, channels: number): PlannedTensor {
  const { shape } = weight.layout;
  const [out = 1, perGroup = 1, kh = 1, kw = 1] = shape;
  const isMatrix = shape.length === 2;
  const depth = perGroup * kh * kw;
  const packedShape = [Math.ceil(out / channels), depth, channels];
  const constant = constantOf(weight);
  if (constant)
    return plan.prepacked(packedShape, (staged) => {
      for (let first = 0; first < out; first += channels) {
        const end = Math.min(first + channels, out);
        const values = valuesOf(constant, first * depth, end * depth);
        for (let o = first; o < end; o++)
          for (let k = 0; k < depth; k++)
            staged[first * depth + k * channels + (o - first)] = values[(o - first) * depth + k]!;
      }
    });
  return plan.kernel({
    inputs: [weight],
    shape: packedShape,
    body: ([read], [tile, k, lane]) => ({
      statements: `let moved = 0.0;
const o = ${tile} * ${channels} + ${lane};
${divide(k!, kh * kw, depth, 'inner', 'tap')}
${divide('tap', kw, kh * kw, 'ky', 'kx')}
if (o < ${out}) { moved = ${read!(isMatrix ? ['o', 'inner'] : ['o', 'inner', 'ky', 'kx'])}; }`,
      value: 'moved',
    }),
  });
}
