/** The transformed weights of a Winograd convolution: made once if they are constant, else in every run. */
import { winogradWeights } from '../kernels/gradient/winogradWeights.js';
import { CHANNEL_BLOCK, FLOAT, paddedChannels } from '../kernels/kernel.js';
import { transformWeights, winograd } from '../kernels/winograd.js';
import type { Pointer } from '../plan/memory.js';
import type { Call, Planner } from '../plan/planner.js';
import type { Convolution } from './convolution.js';
import { columnPlace, packPanels } from './product.js';

/** The weights of each transformed position, in panels, one position after the other. */
export function packTransformed(
  p: Planner,
  convolution: Convolution,
  outputs: 2 | 4,
  panel: number,
): Pointer {
  const { weight, order, channels, out } = convolution;
  const constant = p.constant(weight);
  if (!constant) return transformInRun(p, convolution, outputs, panel);
  const { data } = constant;
  const method = winograd[outputs];
  const products = method.inputs ** 2;
  const size = channels * paddedChannels(out);
  return p.keep(products * size, (target) => {
    const transformed = new Float64Array(products);
    const places = Array.from({ length: out }, (_, o) => columnPlace(channels, out, panel, o));
    // Output channels innermost: neighbours are written next to each other, in each of the products.
    for (let c = 0; c < channels; c++)
      for (const [o, { offset, width, within }] of places.entries()) {
        transformWeights(method, data, order.start + o * order.out + c * order.in, order, transformed);
        let at = offset + c * width + within;
        for (let index = 0; index < products; index++, at += size) target[at] = transformed[index]!;
      }
  });
}

function transformInRun(
  p: Planner,
  { weight, order, channels, out }: Convolution,
  outputs: 2 | 4,
  panel: number,
): Pointer {
  const products = winograd[outputs].inputs ** 2;
  const padded = paddedChannels(out);
  const size = channels * padded;
  const direct = packPanels(
    p,
    weight,
    out,
    panel,
    [
      { count: 3, from: order.row },
      { count: 3, from: order.column },
      { count: channels, from: order.in },
    ],
    order.out,
    order.start,
  );
  const target = p.scratch(products * size * FLOAT);
  const full = Math.floor(padded / panel);
  const panels = Array.from({ length: Math.ceil(padded / panel) }, (_, index) => {
    const width = index < full ? panel : padded - full * panel;
    return { offset: index * panel * channels, floats: width * channels };
  });
  p.algorithm('pack');
  p.spread(size / CHANNEL_BLOCK, (from, to) => {
    const calls: Call[] = [];
    for (const { offset, floats } of panels) {
      const start = Math.max(0, from * CHANNEL_BLOCK - offset);
      const end = Math.min(floats, to * CHANNEL_BLOCK - offset);
      if (end <= start) continue;
      const shape = { outputs, tap: floats * FLOAT, product: size * FLOAT };
      calls.push({
        kernel: p.kernel('winograd weights', shape, (_, fixed) => winogradWeights(fixed)),
        parameters: [
          direct.plus((9 * offset + start) * FLOAT),
          target.plus((offset + start) * FLOAT),
          (end - start) / CHANNEL_BLOCK,
        ],
      });
    }
    return calls;
  });
  return target;
}
