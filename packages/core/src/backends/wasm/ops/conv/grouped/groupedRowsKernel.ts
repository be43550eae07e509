/**
 * Grouped convolution such as ResNeXt's 3x3: a call computes one row of output pixels from the addresses of
 * the input rows, as the depthwise kernel does, without padding and without multiplying zeros. The lanes of a
 * vector are output channels of one group; an input channel is broadcast to all lanes. With four channels per
 * group, a pair of vectors holds two groups, each with its input channel broadcast to its four lanes.
 */
import type { Activation } from '../../../../../ops/activation.js';
import type { Engine } from '../../../codegen/engine.js';
import { type F32x8, f32x4, f32x8, type Local, type V128, v128 } from '../../../codegen/index.js';
import { addressList, defineKernel, FLOAT, LANES, type Variant } from '../../../codegen/kernel.js';
import { MAX_WINDOW_ROWS, slideAlongRow, type WindowRow } from '../../../codegen/windowRow.js';
import { applyActivation } from '../../pointwise/activationKernel.js';
import { depthwiseVectors } from '../depthwise/depthwiseKernel.js';

/** Assignment of channels to lanes. A set is one or two groups that are computed together. */
export interface GroupedLanes {
  /** Groups of a set. */
  readonly setGroups: 1 | 2;
  /** Input channels of a group. */
  readonly inEach: number;
  /** Blocks of output channels of a set. */
  readonly blocks: number;
  /** Output channels of a block: 4, or 8 with wide SIMD. */
  readonly lanes: number;
}

/** Assigns output channels to lanes; undefined if some lanes would be empty. */
export function groupedLanes(
  engine: Engine,
  { groups, inEach, outEach }: { readonly groups: number; readonly inEach: number; readonly outEach: number },
): GroupedLanes | undefined {
  const lanes = depthwiseVectors(engine) * LANES;
  if (outEach % lanes === 0) return { setGroups: 1, inEach, blocks: outEach / lanes, lanes };
  const paired = lanes === 2 * LANES && inEach === LANES && outEach === LANES && groups % 2 === 0;
  return paired ? { setGroups: 2, inEach, blocks: 1, lanes } : undefined;
}

/** Everything that is fixed when the kernel is generated. Extents are in pixels, strides in bytes. */
export interface GroupedRow extends WindowRow {
  readonly channels: GroupedLanes;
  /** Height of the window. */
  readonly windowRows: number;
  /** Rows of the window inside the image: `firstRow` to `endRow`, exclusive. */
  readonly firstRow: number;
  readonly endRow: number;
  /** Pixel stride of the residual; undefined without one. */
  readonly residualPixel?: number;
  readonly activation?: Activation;
}

/** Outputs of a block. With 7, the accumulators, a row of three taps and a value of x fill the registers. */
const BLOCK_OUTPUTS = 7;

/** Computes one row of output pixels. */
export const groupedRow = defineKernel({
  name: 'grouped row',
  parameters: {
    /**
     * Addresses of the input rows under the window that are inside the image, from top to bottom, at the
     * first channel of the first set.
     */
    x: addressList(MAX_WINDOW_ROWS),
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
    const { setGroups, inEach, blocks, lanes } = channels;
    const rows = p.x.slice(0, endRow - firstRow);
    const vectors = lanes / LANES;
    const load = (address: Local<'i32'>, offset = 0): F32x8 => f32x8.load(address, offset, vectors);
    const [weights, bias, residual] = [f.pointer(), f.pointer(), f.pointer()];
    const moving = [
      { from: p.weights, at: weights, bytes: 0, pixel: 0 },
      { from: p.bias, at: bias, bytes: 0, pixel: 0 },
      ...(residualPixel > 0 ? [{ from: p.residual, at: residual, bytes: 0, pixel: residualPixel }] : []),
    ];
    const tapBytes = lanes * FLOAT;
    const rowBytes = inEach * columns * tapBytes;
    const value = f.f32x8(vectors);
    const taps = f.valuePool('tap', columns, vectors);
    const input = f.pointer();
    /** Broadcasts an input channel of a pixel to all lanes of its group. */
    const broadcast = (offset: number, channel: number): void => {
      if (setGroups === 1) f.set(value, v128.loadSplat(input, offset + channel * FLOAT));
      else {
        f.set(value, load(input, offset));
        const splat = (half: V128): V128 => f32x4.shuffle(half, half, [channel, channel, channel, channel]);
        f.set(value, value.map(splat));
      }
    };
    // With two groups, one load reads all four input channels of a group, so an iteration covers all of them.
    const unroll = setGroups === 1 ? Math.min(engine.unroll, inEach) : inEach;

    const step = { x: setGroups * inEach * FLOAT, y: 0 };
    slideAlongRow(
      f,
      shape,
      { size: BLOCK_OUTPUTS, step, rows, y: p.y, groups: p.sets, others: moving },
      ({ outputs, columns: present, tap }, x, y) =>
        f.repeat(blocks, () => {
          const accumulators = f.valuePool('accumulator', outputs, vectors);
          for (const sum of accumulators) f.set(sum, load(bias));
          const multiply = (count: number): void => {
            for (let channel = 0; channel < count; channel++) {
              for (const [column, weight] of taps.entries())
                f.set(weight, load(weights, (channel * columns + column) * tapBytes));
              for (const { column, at } of present) {
                broadcast(at, channel);
                for (const [output, sum] of accumulators.entries()) {
                  // Undefined if the output's window does not cover the column.
                  const weight = taps[tap(output, column)];
                  if (weight) f.set(sum, f32x8.multiplyAdd(engine, value, weight, sum));
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
            for (const [output, sum] of accumulators.entries())
              f.set(sum, f32x8.add(sum, load(residual, output * residualPixel)));
          applyActivation(f, engine, shape.activation, accumulators.flat());
          for (const [output, sum] of accumulators.entries()) f.store(y, sum, output * pixel.y);
          for (const address of [y, bias, residual]) f.advance(address, tapBytes);
        }),
    );
  },
});
