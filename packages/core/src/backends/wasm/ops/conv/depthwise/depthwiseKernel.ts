/**
 * Depthwise convolution: every channel has a k x k window of its own. One call makes one row of output
 * pixels from pointers to the input rows, so that rows may lie anywhere: in a picture, or in a ring of
 * rows that another kernel fills. Rows beyond the edge are left out by generating a variant without them.
 */
import type { Activation } from '../../../../../ops/activation.js';
import type { Engine } from '../../../codegen/engine.js';
import { f32x4, type Local, v128 } from '../../../codegen/index.js';
import {
  addressList,
  defineKernel,
  LANES,
  multiplyAdd,
  type Variant,
  VECTOR,
} from '../../../codegen/kernel.js';
import { MOST_ROWS, slideAlongRow, tapBytes, type WindowRow } from '../../../codegen/windowRow.js';
import { applyActivation } from '../../pointwise/activationKernel.js';

/** Everything that is fixed when the kernel is generated. */
export interface DepthwiseRow extends WindowRow {
  /** Height of the window. */
  readonly windowRows: number;
  /** Which of its rows lie inside the picture: from `firstRow` up to but not including `endRow`. */
  readonly firstRow: number;
  readonly endRow: number;
  /** Bytes from one pixel of the residual to the next; 0 without one. */
  readonly residualPixel: number;
  readonly residual: boolean;
  /** Whether each channel's results are summed along the row too; instead of a residual. */
  readonly sums?: boolean;
  readonly activation?: Activation;
}

/** Vectors that are handled together: a pair where pairs become one operation. */
export const depthwiseVectors = ({ wide }: Engine): number => (wide ? 2 : 1);

/** Outputs in a block. With 7, the accumulators, a row of taps and a value of x fill the registers. */
const BLOCK = 7;

/**
 * Where a weight is found among the packed ones, [channels / group][rows * columns][group], in floats.
 * `taps` is rows * columns.
 */
export function depthwiseWeightIndex(engine: Engine, taps: number, channel: number, tap: number): number {
  const group = depthwiseVectors(engine) * LANES;
  return (Math.floor(channel / group) * taps + tap) * group + (channel % group);
}

/** Makes one row of output pixels. */
export const depthwiseRow = defineKernel({
  name: 'depthwise row',
  parameters: {
    /** Addresses of the input rows under the window that lie inside the picture, from top to bottom. */
    x: addressList(MOST_ROWS),
    /** Address of the output row. */
    y: 'address',
    /** Address of the weights of the first group of channels, in the order of `depthwiseWeightIndex`. */
    weights: 'address',
    /** Address of the bias of the first channel. */
    bias: 'address',
    /** Address of the row of the residual, or of the sums of this row, one for each channel. */
    residualOrSums: 'address?',
    /** Number of groups of channels, each of `depthwiseVectors` vectors. */
    groups: 'integer',
  },
  build(f, p, { engine, shape }: Variant<DepthwiseRow>) {
    const vectors = depthwiseVectors(engine);
    const { columns, windowRows, firstRow, endRow, pixel, residual, residualPixel, sums } = shape;
    const rows = p.x.slice(0, endRow - firstRow);
    const weights = f.pointer('weights');
    const bias = f.pointer('bias');
    const residualAt = f.pointer('residual');
    const sumsAt = f.pointer('sums');
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
      { size: BLOCK, step, rows, y: p.y, groups: p.groups, others, apart: sums },
      ({ start, outputs, columns: present, tap }, x, y) => {
        const accumulators = f.vectors('accumulator', outputs * vectors);
        const taps = f.vectors('tap', columns * vectors);
        const values = f.vectors('value', vectors);
        const pairs = Array.from({ length: vectors }, (_, index) => index);
        const at = (list: readonly Local<'v128'>[], index: number, v: number) => list[index * vectors + v]!;
        for (let output = 0; output < outputs; output++)
          for (const v of pairs) f.set(at(accumulators, output, v), v128.load(bias, v * VECTOR));
        for (let row = firstRow; row < endRow; row++) {
          for (let column = 0; column < columns; column++)
            for (const v of pairs)
              f.set(
                at(taps, column, v),
                v128.load(weights, (row * columns + column) * tapBytes(vectors) + v * VECTOR),
              );
          for (const { column, at: behind } of present) {
            for (const v of pairs) f.set(values[v]!, v128.load(x[row - firstRow]!, behind + v * VECTOR));
            for (let output = 0; output < outputs; output++) {
              const index = tap(output, column);
              if (index < 0) continue;
              for (const v of pairs) {
                const sum = at(accumulators, output, v);
                f.set(sum, multiplyAdd(engine, values[v]!, at(taps, index, v), sum));
              }
            }
          }
        }
        if (residual)
          for (let output = 0; output < outputs; output++)
            for (const v of pairs) {
              const sum = at(accumulators, output, v);
              f.set(sum, f32x4.add(sum, v128.load(residualAt, output * residualPixel + v * VECTOR)));
            }
        applyActivation(f, engine, shape.activation, accumulators);
        if (sums) {
          const totals = f.vectors('total', vectors);
          for (const v of pairs)
            f.set(totals[v]!, start === 0 ? f32x4.const(0) : v128.load(sumsAt, v * VECTOR));
          for (let output = 0; output < outputs; output++)
            for (const v of pairs) f.set(totals[v]!, f32x4.add(totals[v]!, at(accumulators, output, v)));
          for (const v of pairs) f.store(sumsAt, totals[v]!, v * VECTOR);
        }
        for (let output = 0; output < outputs; output++)
          for (const v of pairs) f.store(y, at(accumulators, output, v), output * pixel.y + v * VECTOR);
      },
    );
  },
});
