/** Gradient of local response normalisation across the channels of each pixel. */
import type { LocalResponseNormAttrs } from '../../../../ops/localResponseNorm.js';
import { forEachVector, selectFirstLanes } from '../../codegen/channels.js';
import { f32x4, i32, v128 } from '../../codegen/index.js';
import { defineKernel, FLOAT, type Variant } from '../../codegen/kernel.js';
import { exponential, logarithm } from '../../codegen/math.js';
import { windowSum } from './localResponseNormKernel.js';

/** Number of channels, pixel strides in bytes, and the op's attributes. */
export interface LocalResponseNormGradientShape extends LocalResponseNormAttrs {
  readonly channels: number;
  readonly dy: number;
  readonly x: number;
  readonly dx: number;
}

/**
 * With s the scale of each channel, k + alpha / size * its window's sum of x^2:
 * dx = dy s^-beta - 2 alpha beta / size x (the sum of dy x s^(-beta - 1) over the channels whose windows contain
 * this one). Squares and those products are stored between zeros, so that both sums are unaligned loads.
 */
export const localResponseNormGradient = defineKernel({
  name: 'local response norm gradient',
  parameters: {
    /** Address of the first pixel of dy. */
    dy: 'address',
    /** Address of the first pixel of x. */
    x: 'address',
    /** Address of the first pixel of dx. */
    dx: 'address',
    /** Address of the thread's workspace for squares. */
    squares: 'address',
    /** Address of the thread's workspace for products. */
    products: 'address',
    /** Bytes of each workspace: see `localResponseNormWorkspace`. */
    workspaceBytes: 'integer',
    /** Number of pixels. */
    pixels: 'integer',
  },
  build(f, p, { engine, shape }: Variant<LocalResponseNormGradientShape>) {
    const { channels, size, alpha, beta, k } = shape;
    const at = { dy: f.pointer(), x: f.pointer(), dx: f.pointer() };
    const [squares, products] = [f.pointer(), f.pointer()];
    const [value, log, power, scale] = f.vectors(4);
    const before = Math.floor(size / 2) * FLOAT;
    const after = (size - 1) * FLOAT - before;
    f.zeroMemory(p.squares, p.workspaceBytes);
    f.zeroMemory(p.products, p.workspaceBytes);
    f.repeat(p.pixels, () => {
      f.set(at.x, p.x);
      f.set(squares, i32.add(p.squares, before));
      forEachVector(f, channels, [at.x, squares], (lanes) => {
        f.set(value, v128.load(at.x));
        f.store(squares, selectFirstLanes(f32x4.mul(value, value), lanes, f32x4.const(0)));
      });
      f.set(at.dy, p.dy);
      f.set(at.x, p.x);
      f.set(at.dx, p.dx);
      f.set(squares, p.squares);
      f.set(products, i32.add(p.products, after));
      forEachVector(f, channels, [at.dy, at.x, at.dx, squares, products], (lanes) => {
        const sum = windowSum(squares, size);
        f.set(scale, f32x4.add(f32x4.const(k), f32x4.mul(f32x4.const(alpha / size), sum)));
        logarithm(f, engine, [scale], [log]);
        exponential(f, engine, [log], [power], -beta);
        f.set(value, f32x4.mul(v128.load(at.dy), power));
        f.store(at.dx, value);
        f.set(value, f32x4.div(f32x4.mul(value, v128.load(at.x)), scale));
        f.store(products, selectFirstLanes(value, lanes, f32x4.const(0)));
      });
      f.set(at.x, p.x);
      f.set(at.dx, p.dx);
      f.set(products, p.products);
      forEachVector(f, channels, [at.x, at.dx, products], () => {
        const factor = f32x4.mul(f32x4.const((2 * alpha * beta) / size), v128.load(at.x));
        f.store(at.dx, f32x4.sub(v128.load(at.dx), f32x4.mul(factor, windowSum(products, size))));
      });
      f.advance(p.dy, shape.dy);
      f.advance(p.x, shape.x);
      f.advance(p.dx, shape.dx);
    });
  },
});
