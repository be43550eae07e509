/** The transformed weights of a Winograd convolution: made once if they are constant, else in every run. */
import { FLOAT, paddedChannels } from '../../../codegen/kernel.js';
import type { Pointer } from '../../../memory/region.js';
import type { Planner } from '../../../schedule/planner.js';
import { columnPlace } from '../../matmul/matmul.js';
import type { Convolution } from '../convolution.js';
import { productStride, type WinogradMethod, winograd } from './transforms.js';

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
  if (!constant) return { at: p.transformInRun!(p, convolution, method, panel, stride), stride };
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
