/**
 * Convolution in groups with a window, such as ResNeXt's 3x3: one call makes one row of output pixels from
 * pointers to the input rows, as a depthwise one does, without padding and without a zero multiplied. The lanes of a
 * vector are output channels of one group, and its input a channel in all lanes; with four channels in a group, a
 * pair of vectors are two groups, each with its own input channel.
 */
import type { Activation } from '../../../../../ops/activation.js';
import type { Engine } from '../../../codegen/engine.js';
import { f32x4, type Local, v128 } from '../../../codegen/index.js';
import {
  addressList,
  defineKernel,
  FLOAT,
  LANES,
  multiplyAdd,
  type Variant,
  VECTOR,
} from '../../../codegen/kernel.js';
import { MOST_ROWS, slideAlongRow, type WindowRow } from '../../../codegen/windowRow.js';
import { applyActivation } from '../../pointwise/activationKernel.js';
import { depthwiseVectors } from '../depthwise/depthwiseKernel.js';

/** How channels are divided among vectors. */
export interface GroupedLanes {
  /** Groups of a set, which are computed together, and input channels of a group. */
  readonly together: 1 | 2;
  readonly inEach: number;
  /** Blocks of output channels that a set has; a block has `lanes` of them. */
  readonly blocks: number;
  readonly lanes: number;
}

/** How a convolution's groups fill the lanes of vectors; undefined where they would leave some of them empty. */
export function groupedLanes(
  engine: Engine,
  { groups, inEach, outEach }: { readonly groups: number; readonly inEach: number; readonly outEach: number },
): GroupedLanes | undefined {
  const lanes = depthwiseVectors(engine) * LANES;
  if (outEach % lanes === 0) return { together: 1, inEach, blocks: outEach / lanes, lanes };
  const paired = lanes === 2 * LANES && inEach === LANES && outEach === LANES && groups % 2 === 0;
  return paired ? { together: 2, inEach, blocks: 1, lanes } : undefined;
}

/** Everything that is fixed when the kernel is generated. */
export interface GroupedRow extends WindowRow {
  readonly channels: GroupedLanes;
  /** Height of the window. */
  readonly windowRows: number;
  /** Which of its rows lie inside the picture: from `firstRow` up to but not including `endRow`. */
  readonly firstRow: number;
  readonly endRow: number;
  /** Bytes from one pixel of the residual to the next; undefined without one. */
  readonly residualPixel?: number;
  readonly activation?: Activation;
}

/** Outputs of a tile. With 7, their sums, a row of three taps and a value of x fill the registers. */
const OUTPUTS = 7;

/** Makes one row of output pixels. */
export const groupedRow = defineKernel({
  name: 'grouped row',
  parameters: {
    /** Addresses of the input rows under the window that lie inside the picture, from top to bottom, at the first set's first channel. */
    x: addressList(MOST_ROWS),
    /** Address of the output row at the first set's first channel. */
    y: 'address',
    /** Address of the weights of the first set: [set][block][row][input channel][column][lane]. */
    weights: 'address',
    /** Address of the bias of the first set's first channel. */
    bias: 'address',
    /** Address of the residual's row at the first set's first channel. */
    residual: 'address?',
    /** Number of sets. */
    sets: 'integer',
  },
  build(f, p, { engine, shape }: Variant<GroupedRow>) {
    const { channels, columns, windowRows, firstRow, endRow, pixel, residualPixel = 0 } = shape;
    const { together, inEach, blocks, lanes } = channels;
    const rows = p.x.slice(0, endRow - firstRow);
    const vectors = Array.from({ length: lanes / LANES }, (_, index) => index);
    const [weights, bias, residual] = [f.pointer('weights'), f.pointer('bias'), f.pointer('residual')];
    const moving = [
      { from: p.weights, at: weights, bytes: 0, pixel: 0 },
      { from: p.bias, at: bias, bytes: 0, pixel: 0 },
      ...(residualPixel > 0 ? [{ from: p.residual, at: residual, bytes: 0, pixel: residualPixel }] : []),
    ];
    const tapBytes = lanes * FLOAT;
    const rowBytes = inEach * columns * tapBytes;
    const at = (list: readonly Local<'v128'>[], index: number, v: number) =>
      list[index * vectors.length + v]!;
    const value = f.vectors('value', vectors.length);
    const taps = f.vectors('tap', columns * vectors.length);
    const input = f.pointer('input');
    /** Brings an input channel of a pixel into all lanes of its group. */
    const spread = (offset: number, channel: number): void => {
      const lanes = [channel, channel, channel, channel] as const;
      for (const [v, vector] of value.entries())
        f.set(
          vector,
          together === 1
            ? v128.loadSplat(input, offset + channel * FLOAT)
            : v128.load(input, offset + v * VECTOR),
        );
      if (together > 1) for (const vector of value) f.set(vector, f32x4.shuffle(vector, vector, lanes));
    };
    // Two groups' channels are in the same vector: a turn takes all of them.
    const unroll = together === 1 ? Math.min(engine.unroll, inEach) : inEach;

    const step = { x: together * inEach * FLOAT, y: 0 };
    slideAlongRow(
      f,
      shape,
      { size: OUTPUTS, step, rows, y: p.y, groups: p.sets, others: moving },
      ({ outputs, columns: present, tap }, x, y) =>
        f.repeat(blocks, () => {
          const sums = f.vectors('sum', outputs * vectors.length);
          for (let output = 0; output < outputs; output++)
            for (const v of vectors) f.set(at(sums, output, v), v128.load(bias, v * VECTOR));
          const multiply = (count: number): void => {
            for (let channel = 0; channel < count; channel++) {
              for (let column = 0; column < columns; column++)
                for (const v of vectors)
                  f.set(
                    at(taps, column, v),
                    v128.load(weights, (channel * columns + column) * tapBytes + v * VECTOR),
                  );
              for (const { column, at: behind } of present) {
                spread(behind, channel);
                for (let output = 0; output < outputs; output++) {
                  const index = tap(output, column);
                  if (index < 0) continue;
                  for (const v of vectors) {
                    const sum = at(sums, output, v);
                    f.set(sum, multiplyAdd(engine, value[v]!, at(taps, index, v), sum));
                  }
                }
              }
            }
            f.advance(input, count * FLOAT);
            f.advance(weights, count * columns * tapBytes);
          };
          f.advance(weights, firstRow * rowBytes);
          for (const row of x) {
            f.set(input, row);
            f.repeat(Math.floor(inEach / unroll), () => multiply(unroll));
            if (inEach % unroll > 0) multiply(inEach % unroll);
          }
          f.advance(weights, (windowRows - endRow) * rowBytes);
          if (residualPixel > 0)
            for (let output = 0; output < outputs; output++)
              for (const v of vectors) {
                const sum = at(sums, output, v);
                f.set(sum, f32x4.add(sum, v128.load(residual, output * residualPixel + v * VECTOR)));
              }
          applyActivation(f, engine, shape.activation, sums);
          for (let output = 0; output < outputs; output++)
            for (const v of vectors) f.store(y, at(sums, output, v), output * pixel.y + v * VECTOR);
          for (const address of [y, bias, residual]) f.advance(address, tapBytes);
        }),
    );
  },
});
