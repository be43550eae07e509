/**
 * Max and average pooling. The row kernel reduces each column of the window once and shares it between overlapping
 * windows. The area kernel computes one window of any size per call, for large windows, global and adaptive
 * pooling.
 */
import { type F32x8, f32x4, f32x8 } from '../../codegen/index.js';
import { addressList, BLOCK_BYTES, defineKernel, type Variant } from '../../codegen/kernel.js';
import { MAX_WINDOW_ROWS, slideAlongRow, type WindowRow } from '../../codegen/windowRow.js';

/** Reduction of the values in a window. */
export type Reduction = 'max' | 'mean';

/** Uses `max`, not `pmax`: a NaN in the window must win, whichever operand it is. */
const combine = (reduction: Reduction, a: F32x8, b: F32x8): F32x8 =>
  reduction === 'max' ? f32x8.max(a, b) : f32x8.add(a, b);

/** Reduction and geometry of a row of outputs. */
export interface PoolRow extends WindowRow {
  readonly reduction: Reduction;
  /** Rows of the window inside the image; at most `MAX_WINDOW_ROWS`. */
  readonly rows: number;
  /** Divisors of means, one for each output of the row; equal for all windows inside the image. */
  readonly divisors?: readonly number[];
}

/** Computes one row of output pixels. */
export const poolRow = defineKernel({
  name: 'pool row',
  parameters: {
    /** Addresses of the input rows of the window that lie inside the image, from top to bottom. */
    x: addressList(MAX_WINDOW_ROWS),
    /** Address of the output row. */
    y: 'address',
    /** Number of channel blocks, of eight channels each. */
    groups: 'integer',
  },
  build(f, p, { shape }: Variant<PoolRow>) {
    const { reduction, pixel, rows: rowCount, divisors } = shape;
    if (rowCount > MAX_WINDOW_ROWS) throw new Error(`A pooling row takes at most ${MAX_WINDOW_ROWS} rows.`);
    const rows = p.x.slice(0, rowCount);
    slideAlongRow(
      f,
      shape,
      { size: 4, step: { x: BLOCK_BYTES, y: BLOCK_BYTES }, rows, y: p.y, groups: p.groups },
      ({ start, outputs, columns, tap }, x, y) => {
        const reduced = f.valuePool('column', columns.length);
        for (const [index, column] of reduced.entries())
          for (const [row, address] of x.entries()) {
            const value = f32x8.load(address, columns[index]!.at);
            f.set(column, row === 0 ? value : combine(reduction, column, value));
          }
        const result = f.pool('result', 2);
        for (let output = 0; output < outputs; output++) {
          const inWindow: readonly F32x8[] = reduced.filter(
            (_, index) => tap(output, columns[index]!.column) >= 0,
          );
          const total = inWindow.reduce((a, b) => combine(reduction, a, b));
          f.set(result, divisors ? f32x8.mul(total, f32x4.const(1 / divisors[start + output]!)) : total);
          f.store(y, result, output * pixel.y);
        }
      },
    );
  },
});

/** Reduction and layout of a window. */
export interface PoolArea {
  readonly reduction: Reduction;
  /** Strides of the window's rows and columns in bytes. */
  readonly row: number;
  readonly column: number;
}

/**
 * Computes one output pixel. Each channel is summed in the order of the pixels, so the result does not depend on
 * the number of threads.
 */
export const poolArea = defineKernel({
  name: 'pool area',
  parameters: {
    /** Address of the window's first value. */
    x: 'address',
    /** Address of the result. */
    y: 'address',
    /** Rows of the window. */
    rows: 'integer',
    /** Columns of the window. */
    columns: 'integer',
    /** Factor of a sum; only means read it. */
    factor: 'float',
    /** Number of channel blocks, of eight channels each. */
    groups: 'integer',
  },
  build(f, p, { shape: { reduction, row, column } }: Variant<PoolArea>) {
    const [rowAt, at] = [f.pointer(), f.pointer()];
    const total = f.f32x8();
    f.repeat(p.groups, () => {
      f.set(total, reduction === 'max' ? f32x8.load(p.x) : f32x4.const(0));
      f.set(rowAt, p.x);
      f.repeat(p.rows, () => {
        f.set(at, rowAt);
        f.repeat(p.columns, () => {
          f.set(total, combine(reduction, total, f32x8.load(at)));
          f.advance(at, column);
        });
        f.advance(rowAt, row);
      });
      if (reduction === 'mean') f.set(total, f32x8.mul(total, f32x4.splat(p.factor)));
      f.store(p.y, total);
      for (const address of [p.x, p.y]) f.advance(address, BLOCK_BYTES);
    });
  },
});
