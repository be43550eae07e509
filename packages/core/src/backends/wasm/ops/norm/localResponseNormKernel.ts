/** Local response normalisation (LRN) across the channels of each pixel. */
import type { LocalResponseNormAttrs } from '../../../../ops/localResponseNorm.js';
import { forEachVector, selectFirstLanes } from '../../codegen/channels.js';
import { f32x4, i32, type Local, type V128, v128 } from '../../codegen/index.js';
import { CHANNEL_BLOCK, defineKernel, FLOAT, paddedChannels, type Variant } from '../../codegen/kernel.js';
import { exponential, logarithm } from '../../codegen/math.js';

/** Number of channels, pixel strides of x and y in bytes, and the op's attributes. */
export interface LocalResponseNormShape extends LocalResponseNormAttrs {
  readonly channels: number;
  readonly x: number;
  readonly y: number;
}

/** Bytes of a thread's workspace for the zero-padded channels of one pixel. */
export const localResponseNormWorkspace = (channels: number, size: number): number =>
  (paddedChannels(channels) + 2 * size + CHANNEL_BLOCK) * FLOAT;

/** The sum of `size` neighbouring channels for each of four channels, by unaligned loads. */
export const windowSum = (address: Local<'i32'>, size: number): V128 =>
  Array.from({ length: size }, (_, i): V128 => v128.load(address, i * FLOAT)).reduce((a, b) =>
    f32x4.add(a, b),
  );

/**
 * y = x (k + alpha / size * the sum of x^2 over `size` neighbouring channels)^-beta. The squares of a pixel are
 * stored between zeros, so that window sums are unaligned loads without a special case at either end.
 */
export const localResponseNormKernel = defineKernel({
  name: 'local response norm',
  parameters: {
    /** Address of the first pixel of x. */
    x: 'address',
    /** Address of the first pixel of y. */
    y: 'address',
    /** Address of the thread's workspace, of `localResponseNormWorkspace` bytes. */
    workspace: 'address',
    /** Number of pixels. */
    pixels: 'integer',
  },
  build(f, p, { engine, shape }: Variant<LocalResponseNormShape>) {
    const { channels, x: xStride, y: yStride, size, alpha, beta, k } = shape;
    const [x, y, squares] = [f.pointer(), f.pointer(), f.pointer()];
    const [value, scale, log] = f.vectors(3);
    const before = Math.floor(size / 2) * FLOAT;
    f.zeroMemory(p.workspace, localResponseNormWorkspace(channels, size));
    f.repeat(p.pixels, () => {
      f.set(x, p.x);
      f.set(squares, i32.add(p.workspace, before));
      forEachVector(f, channels, [x, squares], (lanes) => {
        f.set(value, v128.load(x));
        f.store(squares, selectFirstLanes(f32x4.mul(value, value), lanes, f32x4.const(0)));
      });
      f.set(x, p.x);
      f.set(y, p.y);
      f.set(squares, p.workspace);
      forEachVector(f, channels, [x, y, squares], () => {
        const sum = windowSum(squares, size);
        f.set(scale, f32x4.add(f32x4.const(k), f32x4.mul(f32x4.const(alpha / size), sum)));
        if (beta === 0.75) {
          f.set(log, f32x4.sqrt(scale));
          f.set(scale, f32x4.mul(log, f32x4.sqrt(log)));
          f.store(y, f32x4.div(v128.load(x), scale));
        } else {
          logarithm(f, engine, [scale], [log]);
          exponential(f, engine, [log], [scale], -beta);
          f.store(y, f32x4.mul(v128.load(x), scale));
        }
      });
      f.advance(p.x, xStride);
      f.advance(p.y, yStride);
    });
  },
});
