/** Softmax and log softmax over the channels of each pixel. */
import { forEachVector, reduceLanes, selectFirstLanes } from '../../codegen/channels.js';
import { f32x4, v128 } from '../../codegen/index.js';
import { defineKernel, type Variant } from '../../codegen/kernel.js';
import { exponential, logarithm } from '../../codegen/math.js';

/** Number of channels, and pixel strides of x and y in bytes. */
export interface SoftmaxShape {
  readonly channels: number;
  readonly x: number;
  readonly y: number;
  /** True for log softmax. */
  readonly logarithmic: boolean;
}

/** Computes softmax or log softmax in three passes: maximum; exponentials and their sum; normalisation. */
export const softmaxKernel = defineKernel({
  name: 'softmax',
  parameters: {
    /** Address of the first pixel of x. */
    x: 'address',
    /** Address of the first pixel of y. */
    y: 'address',
    /** Number of pixels. */
    pixels: 'integer',
  },
  build(f, p, { engine, shape }: Variant<SoftmaxShape>) {
    const { channels, x: xStride, y: yStride, logarithmic } = shape;
    const [x, y] = [f.pointer(), f.pointer()];
    const [maximum, sum, difference, power, log] = f.vectors(5);
    f.repeat(p.pixels, () => {
      f.set(x, p.x);
      f.set(maximum, f32x4.const(-Infinity));
      forEachVector(f, channels, [x], (lanes) =>
        f.set(maximum, f32x4.max(maximum, selectFirstLanes(v128.load(x), lanes, maximum))),
      );
      reduceLanes(f, maximum, f32x4.max);
      f.set(x, p.x);
      f.set(y, p.y);
      f.set(sum, f32x4.const(0));
      forEachVector(f, channels, [x, y], (lanes) => {
        f.set(difference, f32x4.sub(v128.load(x), maximum));
        exponential(f, engine, [difference], [power]);
        f.store(y, logarithmic ? difference : power);
        f.set(sum, f32x4.add(sum, selectFirstLanes(power, lanes, f32x4.const(0))));
      });
      reduceLanes(f, sum, f32x4.add);
      if (logarithmic) logarithm(f, engine, [sum], [log]);
      f.set(y, p.y);
      forEachVector(f, channels, [y], () =>
        f.store(y, logarithmic ? f32x4.sub(v128.load(y), log) : f32x4.div(v128.load(y), sum)),
      );
      f.advance(p.x, xStride);
      f.advance(p.y, yStride);
    });
  },
});
