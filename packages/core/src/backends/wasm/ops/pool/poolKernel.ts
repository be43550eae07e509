/**
 * Max and average pooling. Along rows: columns are reduced first, and shared by the windows that overlap.
 * Over areas: one window of any size a call, for global and adaptive pooling.
 */

import { f32, f32x4, type Local, type V128, v128 } from '../../codegen/index.js';
import { addressList, defineKernel, type Variant, VECTOR } from '../../codegen/kernel.js';
import { MOST_ROWS, slideAlongRow, type WindowRow } from '../../codegen/windowRow.js';

/** How values under a window become one. */
export type Reduction = 'max' | 'mean';

/** `max` and not `pmax`: a NaN under the window must win, whichever operand it is. */
const combine = (reduction: Reduction, a: V128, b: V128): V128 =>
  reduction === 'max' ? f32x4.max(a, b) : f32x4.add(a, b);

/** Everything that is fixed when a row kernel is generated. */
export interface PoolRow extends WindowRow {
  readonly reduction: Reduction;
  /** How many of the window's rows lie inside the picture; at most seven. */
  readonly rows: number;
  /** For means: what the sum of each output of the row is divided by; the same for all windows inside. */
  readonly divisors?: readonly number[];
}

/** Makes one row of output pixels. */
export const poolRow = defineKernel({
  name: 'pool row',
  parameters: {
    /** Addresses of the input rows under the window that lie inside the picture, from top to bottom. */
    x: addressList(MOST_ROWS),
    /** Address of the output row. */
    y: 'address',
    /** Pairs of vectors in a pixel: channels divided by eight. */
    groups: 'integer',
  },
  build(f, p, { shape }: Variant<PoolRow>) {
    const { reduction, pixel, rows: rowCount, divisors } = shape;
    if (rowCount > MOST_ROWS) throw new Error(`A pooling row takes at most ${MOST_ROWS} rows.`);
    const rows = p.x.slice(0, rowCount);
    slideAlongRow(
      f,
      shape,
      { size: 4, step: { x: 2 * VECTOR, y: 2 * VECTOR }, rows, y: p.y, groups: p.groups },
      ({ start, outputs, columns, tap }, x, y) => {
        const reduced = new Map<number, readonly Local<'v128'>[]>();
        for (const [index, { column, at: behind }] of columns.entries()) {
          const pair = f.vectors('column', columns.length * 2).slice(index * 2, index * 2 + 2);
          for (const [row, address] of x.entries())
            for (const [v, vector] of pair.entries()) {
              const value = v128.load(address, behind + v * VECTOR);
              f.set(vector, row === 0 ? value : combine(reduction, vector, value));
            }
          reduced.set(column, pair);
        }
        const results = f.vectors('result', 2);
        for (let output = 0; output < outputs; output++) {
          const under = columns.filter(({ column }) => tap(output, column) >= 0);
          for (const [v, result] of results.entries()) {
            const total = under
              .map(({ column }): V128 => reduced.get(column)![v]!)
              .reduce((a, b) => combine(reduction, a, b));
            f.set(result, divisors ? f32x4.mul(total, f32x4.const(1 / divisors[start + output]!)) : total);
          }
          for (const [v, result] of results.entries()) f.store(y, result, output * pixel.y + v * VECTOR);
        }
      },
    );
  },
});

/** Everything that is fixed when an area kernel is generated. Strides are in bytes. */
export interface PoolArea {
  readonly reduction: Reduction;
  /** From one row to the next under the window, and from one column to the next. */
  readonly row: number;
  readonly column: number;
}

/**
 * Makes one output pixel. Each channel is summed in the order of the pixels, whoever does it, so the result does
 * not depend on the number of threads.
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
    /** Bits of the float32 that a sum is multiplied with, for means. */
    factor: 'integer',
    /** Pairs of vectors in a pixel: channels divided by eight. */
    groups: 'integer',
  },
  build(f, p, { shape: { reduction, row, column } }: Variant<PoolArea>) {
    const [rowAt, at] = [f.pointer('row'), f.pointer('at')];
    const totals = f.vectors('total', 2);
    f.repeat(p.groups, () => {
      for (const [v, total] of totals.entries())
        f.set(total, reduction === 'max' ? v128.load(p.x, v * VECTOR) : f32x4.const(0));
      f.set(rowAt, p.x);
      f.repeat(p.rows, () => {
        f.set(at, rowAt);
        f.repeat(p.columns, () => {
          for (const [v, total] of totals.entries())
            f.set(total, combine(reduction, total, v128.load(at, v * VECTOR)));
          f.advance(at, column);
        });
        f.advance(rowAt, row);
      });
      if (reduction === 'mean')
        for (const total of totals) f.set(total, f32x4.mul(total, f32x4.splat(f32.fromBits(p.factor))));
      for (const [v, total] of totals.entries()) f.store(p.y, total, v * VECTOR);
      for (const address of [p.x, p.y]) f.advance(address, 2 * VECTOR);
    });
  },
});
