/**
 * Depthwise convolution: one k x k window for each channel. A call computes one row of output pixels from the
 * addresses of the input rows, which may be rows of an image or of a ring buffer that another kernel fills.
 * Output rows at the top and bottom edge use variants that leave out the window's rows outside of the image.
 */
import type { Activation } from '../../../../../ops/activation.js';
import type { Engine } from '../../../codegen/engine.js';
import { type F32x8, f32x4, f32x8, type Local } from '../../../codegen/index.js';
import { addressList, defineKernel, LANES, type Variant } from '../../../codegen/kernel.js';
import { MAX_WINDOW_ROWS, slideAlongRow, tapBytes, type WindowRow } from '../../../codegen/windowRow.js';
import { applyActivation } from '../../pointwise/activationKernel.js';

/** Everything that is fixed when the kernel is generated. Extents are in pixels, strides in bytes. */
export interface DepthwiseRow extends WindowRow {
  /** Height of the window. */
  readonly windowRows: number;
  /** Rows of the window inside the image: `firstRow` to `endRow`, exclusive. */
  readonly firstRow: number;
  readonly endRow: number;
  /** Pixel stride of the residual; 0 without one. */
  readonly residualPixel: number;
  readonly residual: boolean;
  /** True to sum each channel's results along the row as well. Excludes a residual. */
  readonly sums?: boolean;
  readonly activation?: Activation;
}

/**
 * Number of 128-bit vectors of a channel group: two with wide SIMD, which makes one 256-bit operation of
 * both.
 */
export const depthwiseVectors = ({ wide }: Engine): number => (wide ? 2 : 1);

/** Outputs of a block. With 7, the accumulators, a row of taps and a value of x fill the registers. */
const BLOCK_OUTPUTS = 7;

/**
 * Returns the offset of a weight in the packed weights [channel group][tap][channel of the group], in floats.
 * @param taps - taps of a window: rows x columns.
 */
export function depthwiseWeightIndex(engine: Engine, taps: number, channel: number, tap: number): number {
  const group = depthwiseVectors(engine) * LANES;
  return (Math.floor(channel / group) * taps + tap) * group + (channel % group);
}

/** Computes one row of output pixels. */
export const depthwiseRow = defineKernel({
  name: 'depthwise row',
  parameters: {
    /** Addresses of the input rows under the window that are inside the image, from top to bottom. */
    x: addressList(MAX_WINDOW_ROWS),
    /** Address of the output row. */
    y: 'address',
    /** Address of the weights of the first channel group, in the order of `depthwiseWeightIndex`. */
    weights: 'address',
    /** Address of the bias of the first channel. */
    bias: 'address',
    /** Address of the residual's row, or of the sums of this row, one for each channel. */
    residualOrSums: 'address?',
    /** Number of channel groups, each of `depthwiseVectors` vectors. */
    groups: 'integer',
  },
  build(f, p, { engine, shape }: Variant<DepthwiseRow>) {
    const vectors = depthwiseVectors(engine);
    const load = (address: Local<'i32'>, offset = 0): F32x8 => f32x8.load(address, offset, vectors);
    const { columns, windowRows, firstRow, endRow, pixel, residual, residualPixel, sums } = shape;
    const rows = p.x.slice(0, endRow - firstRow);
    const weights = f.pointer();
    const bias = f.pointer();
    const residualAt = f.pointer();
    const sumsAt = f.pointer();
    const others = [
      { from: p.weights, at: weights, bytes: windowRows * columns * tapBytes(vectors), pixel: 0 },
      { from: p.bias, at: bias, bytes: tapBytes(vectors), pixel: 0 },
      ...(residual
        ? [{ from: p.residualOrSums, at: residualAt, bytes: tapBytes(vectors), pixel: residualPixel }]
        : []),
      ...(sums ? [{ from: p.residualOrSums, at: sumsAt, bytes: tapBytes(vectors), pixel: 0 }] : []),
    ];
    const step = { x: tapBytes(vectors), y: tapBytes(vectors) };
    slideAlongRow(
      f,
      shape,
      { size: BLOCK_OUTPUTS, step, rows, y: p.y, groups: p.groups, others, apart: sums },
      ({ start, outputs, columns: present, tap }, x, y) => {
        const accumulators = f.valuePool('accumulator', outputs, vectors);
        const taps = f.valuePool('tap', columns, vectors);
        const value = f.pool('value', vectors);
        for (const sum of accumulators) f.set(sum, load(bias));
        for (let row = firstRow; row < endRow; row++) {
          for (const [column, weight] of taps.entries())
            f.set(weight, load(weights, (row * columns + column) * tapBytes(vectors)));
          for (const { column, at } of present) {
            f.set(value, load(x[row - firstRow]!, at));
            for (const [output, sum] of accumulators.entries()) {
              // Undefined if the output's window does not cover the column.
              const weight = taps[tap(output, column)];
              if (weight) f.set(sum, f32x8.multiplyAdd(engine, value, weight, sum));
            }
          }
        }
        if (residual)
          for (const [output, sum] of accumulators.entries())
            f.set(sum, f32x8.add(sum, load(residualAt, output * residualPixel)));
        applyActivation(f, engine, shape.activation, accumulators.flat());
        if (sums) {
          const total = f.pool('total', vectors);
          f.set(total, start === 0 ? f32x4.const(0) : load(sumsAt));
          for (const sum of accumulators) f.set(total, f32x8.add(total, sum));
          f.store(sumsAt, total);
        }
        for (const [output, sum] of accumulators.entries()) f.store(y, sum, output * pixel.y);
      },
    );
  },
});
