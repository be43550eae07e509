/**
 * Gradients of pooling: each dy goes back to the pixels under its window, to the one that won (max) or shared
 * out (mean). Windows may overlap, so what is sent back is added to dx, which is zero at first.
 */
import { f32, f32x4, i32x4, v128 } from '../../codegen/index.js';
import { defineKernel, type Variant, VECTOR } from '../../codegen/kernel.js';
import type { Reduction } from './poolKernel.js';

/** Everything that is fixed when the kernel is generated. Strides are in bytes. */
export interface PoolGradient {
  readonly reduction: Reduction;
  /** Rows and columns under the window that exist. */
  readonly rows: number;
  readonly columns: number;
  /** From one of them to the next, in x and dx. */
  readonly row: { readonly x: number; readonly dx: number };
  readonly column: { readonly x: number; readonly dx: number };
  /** From one output of a run to the next. */
  readonly step: { readonly x: number; readonly dx: number; readonly dy: number };
}

/** Windows of up to so many taps are unrolled. */
const UNROLLED = 9;

/** Sends a run of dy back. The winner is the first of the largest values, or the last NaN. */
export const poolGradient = defineKernel({
  name: 'pool gradient',
  parameters: {
    /** Address of x under the first window; not read for means. */
    x: 'address',
    /** Address of dx under the first window. */
    dx: 'address',
    /** Address of the first window's dy. */
    dy: 'address',
    /** Number of outputs in the run. */
    outputs: 'integer',
    /** Pairs of vectors in a pixel: channels divided by eight. */
    groups: 'integer',
    /** Bits of the float32 that dy is multiplied with, for means. */
    factor: 'integer',
  },
  build(f, p, { shape }: Variant<PoolGradient>) {
    const { reduction, rows, columns, row, column, step } = shape;
    const [x, dx, dy] = [f.pointer('x'), f.pointer('dx'), f.pointer('dy')];
    const [xRow, xAt, dxRow, dxAt] = [
      f.pointer('x row'),
      f.pointer('x at'),
      f.pointer('dx row'),
      f.pointer('dx at'),
    ];
    const gradients = f.vectors('dy', 2);
    const best = f.vectors('best', 2);
    const winners = f.vectors('winner', 2);
    const values = f.vectors('value', 2);
    const [tap] = f.vectors('tap', 1);
    const [factor] = f.vectors('factor', 1);
    const largest = reduction === 'max';
    const unrolled = rows * columns <= UNROLLED;

    /** Visits the pixels under the window, in the order of the picture; `tap` counts them. */
    const walk = (body: (xOffset: number, dxOffset: number) => void): void => {
      f.set(tap, i32x4.const(0));
      f.set(xAt, x);
      f.set(dxAt, dx);
      const next = (): void => f.set(tap, i32x4.add(tap, i32x4.const(1)));
      if (unrolled) {
        for (let i = 0; i < rows; i++)
          for (let j = 0; j < columns; j++) {
            body(i * row.x + j * column.x, i * row.dx + j * column.dx);
            next();
          }
        return;
      }
      f.set(xRow, x);
      f.set(dxRow, dx);
      f.repeat(rows, () => {
        f.set(xAt, xRow);
        f.set(dxAt, dxRow);
        f.repeat(columns, () => {
          body(0, 0);
          next();
          f.advance(xAt, column.x);
          f.advance(dxAt, column.dx);
        });
        f.advance(xRow, row.x);
        f.advance(dxRow, row.dx);
      });
    };
    const findWinners = (): void => {
      for (const v of [0, 1]) {
        f.set(best[v]!, v128.load(x, v * VECTOR));
        f.set(winners[v]!, i32x4.const(0));
      }
      walk((offset) => {
        for (const [v, value] of values.entries()) {
          f.set(value, v128.load(xAt, offset + v * VECTOR));
          const wins = v128.or(f32x4.lt(best[v]!, value), f32x4.ne(value, value));
          f.set(winners[v]!, v128.select(tap, winners[v]!, wins));
          // A NaN stays the best: nothing is larger, and only another NaN replaces it.
          f.set(best[v]!, v128.select(value, best[v]!, wins));
        }
      });
    };
    if (!largest) f.set(factor, f32x4.splat(f32.fromBits(p.factor)));
    f.repeat(p.outputs, () => {
      f.set(x, p.x);
      f.set(dx, p.dx);
      f.set(dy, p.dy);
      f.repeat(p.groups, () => {
        for (const [v, gradient] of gradients.entries()) {
          const value = v128.load(dy, v * VECTOR);
          f.set(gradient, largest ? value : f32x4.mul(value, factor));
        }
        if (largest) findWinners();
        walk((_, offset) => {
          for (const [v, value] of values.entries()) {
            const part = largest ? v128.and(gradients[v]!, i32x4.eq(winners[v]!, tap)) : gradients[v]!;
            f.set(value, f32x4.add(v128.load(dxAt, offset + v * VECTOR), part));
          }
          for (const [v, value] of values.entries()) f.store(dxAt, value, offset + v * VECTOR);
        });
        for (const address of [x, dx, dy]) f.advance(address, 2 * VECTOR);
      });
      f.advance(p.x, step.x);
      f.advance(p.dx, step.dx);
      f.advance(p.dy, step.dy);
    });
  },
});
