/** The transformed weights of a Winograd convolution: made once if they are constant, else in every run. */
import { winogradWeights } from '../kernels/gradient/winogradWeights.js';
import { FLOAT, paddedChannels } from '../kernels/kernel.js';
import { productStride, transformWeights, type WinogradMethod, winograd } from '../kernels/winograd.js';
import type { Pointer } from '../plan/memory.js';
import type { Call, Planner } from '../plan/planner.js';
import type { Convolution } from './convolution.js';
import { columnPlace } from './product.js';

/** The weights of each transformed position, in panels. */
export interface Transformed {
  readonly at: Pointer;
  /** Bytes from one position's to the next. */
  readonly stride: number;
}

/** Transforms the weights and packs them. */
export function packTransformed(
  p: Planner,
  convolution: Convolution,
  method: WinogradMethod,
  panel: number,
): Transformed {
  const { weight, order, channels, out } = convolution;
  const stride = productStride(channels, paddedChannels(out));
  const constant = p.constant(weight);
  if (!constant) return { at: transformInRun(p, convolution, method, panel, stride), stride };
  const instance = winograd[method];
  const products = instance.products ** 2;
  const step = stride / FLOAT;
  const at = p.keep(products * step, (target) => {
    const { data } = constant;
    const transformed = new Float64Array(products);
    const places = Array.from({ length: out }, (_, o) => columnPlace(channels, out, panel, o));
    // Output channels innermost: neighbours are written next to each other, in each of the products.
    for (let c = 0; c < channels; c++)
      for (const [o, { offset, width, within }] of places.entries()) {
        transformWeights(instance, data, order.start + o * order.out + c * order.in, order, transformed);
        let place = offset + c * width + within;
        for (let index = 0; index < products; index++, place += step) target[place] = transformed[index]!;
      }
  });
  return { at, stride };
}

function transformInRun(
  p: Planner,
  { weight, order, channels, out }: Convolution,
  method: WinogradMethod,
  panel: number,
  product: number,
): Pointer {
  const from = p.value(weight).at;
  const padded = paddedChannels(out);
  const target = p.scratch(winograd[method].products ** 2 * product);
  // Read backwards, the first tap is the last one in memory.
  const rotated = order.column < 0;
  const start = order.start + (rotated ? 2 * (order.row + order.column) : 0);
  p.algorithm('pack');
  p.spread(Math.ceil(padded / panel) * channels, (first, last) => {
    const calls: Call[] = [];
    for (let item = first; item < last; ) {
      const column = Math.floor(item / channels) * panel;
      const channel = item % channels;
      const count = Math.min(last - item, channels - channel);
      const width = Math.min(panel, padded - column);
      const shape = {
        ...{ method, product, rotated, width, columns: Math.min(width, out - column) },
        ...{ column: order.out * FLOAT, channel: order.in * FLOAT },
      };
      calls.push({
        kernel: p.kernel('winograd weights', shape, (_, fixed) => winogradWeights(fixed)),
        parameters: [
          from.plus((start + column * order.out + channel * order.in) * FLOAT),
          target.plus((column * channels + channel * width) * FLOAT),
          count,
        ],
      });
      item += count;
    }
    return calls;
  });
  return target;
}
