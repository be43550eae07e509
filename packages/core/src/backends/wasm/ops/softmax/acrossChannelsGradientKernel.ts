/** Gradients of what looks at all channels of a pixel together: softmax, its logarithm, local response normalisation. */
import type { LocalResponseNormAttrs } from '../../../../ops/localResponseNorm.js';
import { f32x4, i32, type Local, type V128, v128 } from '../../codegen/index.js';
import { defineKernel, FLOAT, type Variant } from '../../codegen/kernel.js';
import { exponential, logarithm } from '../../codegen/math.js';
import { eachVector, firstLanes, sumChannels } from './acrossChannelsKernel.js';

/** Channels of a pixel, and bytes from one pixel to the next; `other` is y of softmax, x of the normalisation. */
export interface ChannelGradient {
  readonly channels: number;
  readonly dy: number;
  readonly other: number;
  readonly dx: number;
}

/** The gradient of softmax, or of its logarithm. */
export const softmaxGradient = defineKernel({
  name: 'softmax gradient',
  parameters: {
    /** Address of the first pixel of dy. */
    dy: 'address',
    /** Address of the first pixel of y. */
    y: 'address',
    /** Address of the first pixel of dx. */
    dx: 'address',
    /** Number of pixels. */
    pixels: 'integer',
  },
  build(f, p, { engine, shape }: Variant<ChannelGradient & { readonly logarithmic: boolean }>) {
    const { channels, dy, other, dx, logarithmic } = shape;
    const at = { dy: f.pointer('dy'), y: f.pointer('y'), dx: f.pointer('dx') };
    const [sum, value, power] = f.vectors('value', 3);
    f.repeat(p.pixels, () => {
      f.set(at.dy, p.dy);
      f.set(at.y, p.y);
      f.set(at.dx, p.dx);
      sumChannels(f, channels, [at.dy, at.y], sum, () =>
        logarithmic ? v128.load(at.dy) : f32x4.mul(v128.load(at.dy), v128.load(at.y)),
      );
      f.set(at.dy, p.dy);
      f.set(at.y, p.y);
      eachVector(f, channels, [at.dy, at.y, at.dx], () => {
        f.set(value, v128.load(at.y));
        if (logarithmic) exponential(f, engine, [value], [power]);
        f.store(
          at.dx,
          logarithmic
            ? f32x4.sub(v128.load(at.dy), f32x4.mul(power, sum))
            : f32x4.mul(value, f32x4.sub(v128.load(at.dy), sum)),
        );
      });
      f.advance(p.dy, dy);
      f.advance(p.y, other);
      f.advance(p.dx, dx);
    });
  },
});

/**
 * With s the scale of each channel, dx = dy s^-beta - 2 alpha beta / size x (the sum over the channels that
 * have this one in their scale of dy x s^(-beta - 1)). Squares and those products lie between zeros, so
 * that both sums are of unaligned loads.
 */
export const responseNormGradient = defineKernel({
  name: 'response norm gradient',
  parameters: {
    /** Address of the first pixel of dy. */
    dy: 'address',
    /** Address of the first pixel of x. */
    x: 'address',
    /** Address of the first pixel of dx. */
    dx: 'address',
    /** Address of the thread's scratch for squares. */
    squares: 'address',
    /** Address of the thread's scratch for products. */
    products: 'address',
    /** Bytes of each scratch: see `responseScratch`. */
    scratchBytes: 'integer',
    /** Number of pixels. */
    pixels: 'integer',
  },
  build(f, p, { engine, shape }: Variant<ChannelGradient & LocalResponseNormAttrs>) {
    const { channels, dy, other, dx, size, alpha, beta, k } = shape;
    const at = { dy: f.pointer('dy'), x: f.pointer('x'), dx: f.pointer('dx') };
    const [squares, products] = [f.pointer('squares'), f.pointer('products')];
    const [value, log, power, scale] = f.vectors('value', 4);
    const before = Math.floor(size / 2) * FLOAT;
    const behind = (size - 1) * FLOAT - before;
    const windowSum = (address: Local<'i32'>): V128 =>
      Array.from({ length: size }, (_, i): V128 => v128.load(address, i * FLOAT)).reduce((a, b) =>
        f32x4.add(a, b),
      );
    f.zeroMemory(p.squares, p.scratchBytes);
    f.zeroMemory(p.products, p.scratchBytes);
    f.repeat(p.pixels, () => {
      f.set(at.x, p.x);
      f.set(squares, i32.add(p.squares, before));
      eachVector(f, channels, [at.x, squares], (lanes) => {
        f.set(value, v128.load(at.x));
        f.store(squares, firstLanes(f32x4.mul(value, value), lanes, f32x4.const(0)));
      });
      f.set(at.dy, p.dy);
      f.set(at.x, p.x);
      f.set(at.dx, p.dx);
      f.set(squares, p.squares);
      f.set(products, i32.add(p.products, behind));
      eachVector(f, channels, [at.dy, at.x, at.dx, squares, products], (lanes) => {
        f.set(scale, f32x4.add(f32x4.const(k), f32x4.mul(f32x4.const(alpha / size), windowSum(squares))));
        logarithm(f, engine, [scale], [log]);
        exponential(f, engine, [log], [power], -beta);
        f.set(value, f32x4.mul(v128.load(at.dy), power));
        f.store(at.dx, value);
        f.set(value, f32x4.div(f32x4.mul(value, v128.load(at.x)), scale));
        f.store(products, firstLanes(value, lanes, f32x4.const(0)));
      });
      f.set(at.x, p.x);
      f.set(at.dx, p.dx);
      f.set(products, p.products);
      eachVector(f, channels, [at.x, at.dx, products], () => {
        const factor = f32x4.const((2 * alpha * beta) / size);
        f.store(
          at.dx,
          f32x4.sub(v128.load(at.dx), f32x4.mul(f32x4.mul(factor, v128.load(at.x)), windowSum(products))),
        );
      });
      f.advance(p.dy, dy);
      f.advance(p.x, other);
      f.advance(p.dx, dx);
    });
  },
});
