/** Weights in the order in which a kernel reads them: arranged once by the host where they never change, else by a kernel. */
import { type Tensor, valuesOf } from '../../../tensor/tensor.js';
import { divide } from '../kernels/expression.js';
import type { PlanBuilder, Value } from '../plan/plan.js';

/** A constant in the host's order; undefined for anything else. */
export const onHost = ({ origin }: Value): Tensor | undefined =>
  origin.kind === 'constant' ? origin.values : undefined;

/**
 * A weight (out x in x kh x kw, or out x in) as tiles x (in * kh * kw) x channels: the output channels of a
 * tile lie together, those behind the last are zero.
 */
export function inTiles(plan: PlanBuilder, weight: Value, channels: number): Value {
  const [out, perGroup, kh = 1, kw = 1] = weight.layout.shape as readonly [number, number, number?, number?];
  const dense = weight.layout.shape.length === 2;
  const tiles = Math.ceil(out / channels);
  const depth = perGroup * kh * kw;
  const shape = [tiles, depth, channels];
  const host = onHost(weight);
  if (host)
    return plan.arranged(shape, (held) => {
      for (let first = 0; first < out; first += channels) {
        const end = Math.min(first + channels, out);
        const values = valuesOf(host, first * depth, end * depth);
        for (let o = first; o < end; o++)
          for (let k = 0; k < depth; k++)
            held[first * depth + k * channels + (o - first)] = values[(o - first) * depth + k]!;
      }
    });
  return plan.kernel({
    inputs: [weight],
    shape,
    body: ([read], [tile, k, lane]) => ({
      statements: `let moved = 0.0;
const o = ${tile} * ${channels} + ${lane};
${divide(k!, kh * kw, depth, 'inner', 'tap')}
${divide('tap', kw, kh * kw, 'ky', 'kx')}
if (o < ${out}) { moved = ${read!(dense ? ['o', 'inner'] : ['o', 'inner', 'ky', 'kx'])}; }`,
      value: 'moved',
    }),
  });
}
