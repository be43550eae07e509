/** The transformed weights of a Winograd convolution: made once if they are constant, else in every run. */
import { winogradWeights } from '../kernels/gradient/winogradWeights.js';
import { FLOAT, paddedChannels } from '../kernels/kernel.js';
import { productStride, type WinogradMethod, winograd } from '../kernels/winograd.js';
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
  const { weights: g } = winograd[method];
  const step = stride / FLOAT;
  // A panel at a time: its columns are read, and the panels of all products written, from one address to the next.
  const taps = new Float64Array(9 * panel);
  const half = new Float64Array(g.length * 3 * panel);
  const offsets = Array.from(
    { length: 9 },
    (_, tap) => Math.floor(tap / 3) * order.row + (tap % 3) * order.column,
  );
  const fill = (target: Float32Array, index: number): void => {
    const { data } = constant;
    const first = index * panel;
    const { offset, width } = columnPlace(channels, out, panel, first);
    const columns = Math.min(width, out - first);
    for (let c = 0; c < channels; c++) {
      for (let o = 0; o < columns; o++) {
        const at = order.start + c * order.in + (first + o) * order.out;
        for (let tap = 0; tap < 9; tap++) taps[tap * panel + o] = data[at + offsets[tap]!]!;
      }
      for (const [i, [top, middle, bottom]] of g.entries())
        for (let j = 0; j < 3; j++) {
          const from = j * panel;
          const to = (i * 3 + j) * panel;
          for (let o = 0; o < columns; o++)
            half[to + o] =
              top * taps[from + o]! +
              middle * taps[from + 3 * panel + o]! +
              bottom * taps[from + 6 * panel + o]!;
        }
      let to = offset + c * width;
      for (let i = 0; i < g.length; i++)
        for (const [left, center, right] of g) {
          const from = i * 3 * panel;
          for (let o = 0; o < columns; o++)
            target[to + o] =
              left * half[from + o]! + center * half[from + panel + o]! + right * half[from + 2 * panel + o]!;
          to += step;
        }
    }
  };
  return { at: p.keep(g.length ** 2 * step, fill, Math.ceil(out / panel)), stride };
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
