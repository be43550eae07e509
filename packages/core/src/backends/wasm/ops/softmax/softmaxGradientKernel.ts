/** Gradients of softmax and log softmax over the channels of each pixel. */
import { forEachVector, sumChannels } from '../../codegen/channels.js';
import { f32x4, v128 } from '../../codegen/index.js';
import { defineKernel, type Variant } from '../../codegen/kernel.js';
import { exponential } from '../../codegen/math.js';

/** Number of channels, and pixel strides in bytes. */
export interface SoftmaxGradientShape {
  readonly channels: number;
  readonly dy: number;
  readonly y: number;
  readonly dx: number;
  /** True for log softmax. */
  readonly logarithmic: boolean;
}

/** Softmax: dx = y (dy - sum(dy y)); log softmax: dx = dy - exp(y) sum(dy); sums over the channels. */
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
  build(f, p, { engine, shape }: Variant<SoftmaxGradientShape>) {
    const { channels, logarithmic } = shape;
    const at = { dy: f.pointer(), y: f.pointer(), dx: f.pointer() };
    const [sum, value, power] = f.vectors(3);
    f.repeat(p.pixels, () => {
      f.set(at.dy, p.dy);
      f.set(at.y, p.y);
      f.set(at.dx, p.dx);
      sumChannels(f, channels, [at.dy, at.y], sum, () =>
        logarithmic ? v128.load(at.dy) : f32x4.mul(v128.load(at.dy), v128.load(at.y)),
      );
      f.set(at.dy, p.dy);
      f.set(at.y, p.y);
      forEachVector(f, channels, [at.dy, at.y, at.dx], () => {
        f.set(value, v128.load(at.y));
        if (logarithmic) exponential(f, engine, [value], [power]);
        f.store(
          at.dx,
          logarithmic
            ? f32x4.sub(v128.load(at.dy), f32x4.mul(power, sum))
            : f32x4.mul(value, f32x4.sub(v128.load(at.dy), sum)),
        );
      });
      f.advance(p.dy, shape.dy);
      f.advance(p.y, shape.y);
      f.advance(p.dx, shape.dx);
    });
  },
});
