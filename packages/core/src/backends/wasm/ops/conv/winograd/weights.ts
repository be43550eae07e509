/** Transforms the weights of a Winograd convolution, G g G^T, once, when the program is loaded. */
import { FLOAT, paddedChannels } from '../../../codegen/kernel.js';
import type { Pointer } from '../../../memory/region.js';
import type { LoweringContext } from '../../../schedule/context.js';
import { columnPlace } from '../../matmul/matmul.js';
import { conflictFreeStride } from '../conflictFreeStride.js';
import type { Convolution } from '../convolution.js';
import { type WinogradMethod, winogradAlgorithms } from './transforms.js';

/**
 * Transformed weights: for each element of the transformed tile, a matrix [input channel][output channel] in
 * panels.
 */
export interface TransformedWeights {
  readonly at: Pointer;
  /** Bytes from the matrix of one element to the next. */
  readonly elementStride: number;
}

/**
 * Transforms and packs the weights of a convolution.
 * @param panel - output channels of a panel.
 */
export type TransformWeights = (
  p: LoweringContext,
  convolution: Convolution,
  method: WinogradMethod,
  panel: number,
) => TransformedWeights;

/** Returns the bytes from the matrix of one element to the next. */
export const elementStrideOf = ({ channels, out }: Convolution): number =>
  conflictFreeStride(channels * paddedChannels(out));

/** Transforms weights that no run changes. */
export const transformConstantWeights: TransformWeights = (p, convolution, method, panel) => {
  const { weight, order, channels, out } = convolution;
  const elementStride = elementStrideOf(convolution);
  const constant = p.constantValue(weight);
  if (!constant)
    throw new Error(
      `${weight.graph.at(weight.path)}: the weight changes; lower it with the ops of training.`,
    );
  const { weightMatrix: g } = winogradAlgorithms[method];
  const elementFloats = elementStride / FLOAT;
  // Each call of `fill` transforms one panel of output channels: it reads the panel's columns, and writes the panel
  // in the matrix of each element, at increasing addresses.
  const taps = new Float64Array(9 * panel);
  const columnsDone = new Float64Array(g.length * 3 * panel);
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
            columnsDone[to + o] =
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
              left * columnsDone[from + o]! +
              center * columnsDone[from + panel + o]! +
              right * columnsDone[from + 2 * panel + o]!;
          to += elementFloats;
        }
    }
  };
  return { at: p.addConstant(g.length ** 2 * elementFloats, fill, Math.ceil(out / panel)), elementStride };
};
