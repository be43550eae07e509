/**
 * Gradients of pooling: each dy is added to dx at the window's maximum (max), or divided among the window's pixels
 * (mean). Windows may overlap, so dx must be zero before the first call.
 */
import { f32x4, f32x8, i32x4, lift } from '../../codegen/index.js';
import { BLOCK_BYTES, defineKernel, type Variant } from '../../codegen/kernel.js';
import type { Reduction } from './poolKernel.js';

/** Reduction and geometry of a run of windows; all strides in bytes. */
export interface PoolGradient {
  readonly reduction: Reduction;
  /** Rows and columns of the window inside the image. */
  readonly rows: number;
  readonly columns: number;
  /** Strides of the window's rows and columns. */
  readonly row: { readonly x: number; readonly dx: number };
  readonly column: { readonly x: number; readonly dx: number };
  /** Strides from one output of the run to the next. */
  readonly step: { readonly x: number; readonly dx: number; readonly dy: number };
}

/** Windows of at most this many taps are unrolled. */
const UNROLLED_TAPS = 9;

/** Adds the gradients of a run of outputs. The maximum is the first of the largest values, or the last NaN. */
export const poolGradient = defineKernel({
  name: 'pool gradient',
  parameters: {
    /** Address of x at the first window's first pixel; means do not read it. */
    x: 'address',
    /** Address of dx at the first window's first pixel. */
    dx: 'address',
    /** Address of the first window's dy. */
    dy: 'address',
    /** Number of outputs in the run. */
    outputs: 'integer',
    /** Number of channel blocks, of eight channels each. */
    groups: 'integer',
    /** Factor of dy; only means read it. */
    factor: 'float',
  },
  build(f, p, { shape }: Variant<PoolGradient>) {
    const { reduction, rows, columns, row, column, step } = shape;
    const [x, dx, dy] = [f.pointer(), f.pointer(), f.pointer()];
    const [xRow, xAt, dxRow, dxAt] = [f.pointer(), f.pointer(), f.pointer(), f.pointer()];
    const [gradient, maximum, argmax, value] = [f.f32x8(), f.f32x8(), f.f32x8(), f.f32x8()];
    const [tap, factor] = [f.local('v128'), f.local('v128')];
    const isMax = reduction === 'max';
    const unrolled = rows * columns <= UNROLLED_TAPS;

    /** Runs `body` for each pixel of the window in row-major order, with its index in `tap`. */
    const forEachTap = (body: (xOffset: number, dxOffset: number) => void): void => {
      f.set(tap, i32x4.const(0));
      f.set(xAt, x);
      f.set(dxAt, dx);
      const nextTap = (): void => f.set(tap, i32x4.add(tap, i32x4.const(1)));
      if (unrolled) {
        for (let i = 0; i < rows; i++)
          for (let j = 0; j < columns; j++) {
            body(i * row.x + j * column.x, i * row.dx + j * column.dx);
            nextTap();
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
          nextTap();
          f.advance(xAt, column.x);
          f.advance(dxAt, column.dx);
        });
        f.advance(xRow, row.x);
        f.advance(dxRow, row.dx);
      });
    };
    const findMaxima = (): void => {
      f.set(maximum, f32x8.load(x));
      f.set(argmax, i32x4.const(0));
      forEachTap((offset) => {
        f.set(value, f32x8.load(xAt, offset));
        const larger = f32x8.or(f32x8.lt(maximum, value), f32x8.ne(value, value));
        f.set(argmax, f32x8.select(tap, argmax, larger));
        // A NaN stays the maximum: no number is larger, and only another NaN replaces it.
        f.set(maximum, f32x8.select(value, maximum, larger));
      });
    };
    if (!isMax) f.set(factor, f32x4.splat(p.factor));
    f.repeat(p.outputs, () => {
      f.set(x, p.x);
      f.set(dx, p.dx);
      f.set(dy, p.dy);
      f.repeat(p.groups, () => {
        f.set(gradient, isMax ? f32x8.load(dy) : f32x8.mul(f32x8.load(dy), factor));
        if (isMax) findMaxima();
        forEachTap((_, offset) => {
          const part = isMax ? f32x8.and(gradient, lift(i32x4.eq)(argmax, tap)) : gradient;
          f.set(value, f32x8.add(f32x8.load(dxAt, offset), part));
          f.store(dxAt, value, offset);
        });
        for (const address of [x, dx, dy]) f.advance(address, BLOCK_BYTES);
      });
      f.advance(p.x, step.x);
      f.advance(p.dx, step.dx);
      f.advance(p.dy, step.dy);
    });
  },
});
