/** Random masks of dropout: `hash32` (lowbias32) on vectors, with exactly the bits of the reference back end. */
import {
  type FunctionBuilder,
  f32x4,
  i32,
  i32x4,
  type Local,
  type V128,
  VECTOR,
  v128,
} from '../../codegen/index.js';
import { defineKernel, type Variant } from '../../codegen/kernel.js';

type Vector = Local<'v128'>;

/** An odd integer near 2^32 divided by the golden ratio: the multiplier of Fibonacci hashing. */
const FIBONACCI_MULTIPLIER = 0x9e3779b1 | 0;

/** Replaces each integer by its hash. */
function hash(f: FunctionBuilder, h: Vector): void {
  f.set(h, i32x4.mul(v128.xor(h, i32x4.shrU(h, 16)), i32x4.const(0x7feb352d)));
  f.set(h, i32x4.mul(v128.xor(h, i32x4.shrU(h, 15)), i32x4.const(0x846ca68b | 0)));
  f.set(h, v128.xor(h, i32x4.shrU(h, 16)));
}

/** Probability and layout of a mask. */
export interface RandomMaskShape {
  /** Probability of keeping an element. */
  readonly keep: number;
  /** Number of the random stream. */
  readonly stream: number;
  /** Index distance of adjacent channels and of adjacent pixels: elements are numbered in row-major order. */
  readonly channelStep: number;
  readonly pixelStep: number;
  /** Pixel stride in bytes. */
  readonly pixel: number;
}

/** Fills pixels with 0 or 1 / keep. */
export const randomMaskKernel = defineKernel({
  name: 'random mask',
  parameters: {
    /** Address of the seed, a float32. */
    seed: 'address',
    /** Address of the first pixel of y. */
    y: 'address',
    /** Row-major index of the first element. */
    index: 'integer',
    /** Number of pixels. */
    pixels: 'integer',
    /** Number of channel blocks, of eight channels each. */
    groups: 'integer',
  },
  build(f, p, { shape }: Variant<RandomMaskShape>) {
    const { keep, stream, channelStep, pixelStep, pixel } = shape;
    const y = f.pointer();
    const [key, h, indices] = f.vectors(3);
    f.set(key, i32x4.truncF32x4(v128.loadSplat(p.seed)));
    hash(f, key);
    f.set(key, v128.xor(key, i32x4.const(Math.imul(stream + 1, FIBONACCI_MULTIPLIER))));
    hash(f, key);
    // Hashes are integers: one is below keep * 2^32 exactly if it is below that number rounded up.
    const threshold = Math.ceil(keep * 2 ** 32);
    const kept = (): V128 =>
      threshold >= 2 ** 32
        ? f32x4.const(1 / keep)
        : v128.and(i32x4.ltU(h, i32x4.const(threshold | 0)), f32x4.const(1 / keep));
    f.repeat(p.pixels, () => {
      f.set(y, p.y);
      f.set(
        indices,
        i32x4.add(i32x4.splat(p.index), i32x4.lanes(...[0, 1, 2, 3].map((lane) => lane * channelStep))),
      );
      f.repeat(i32.add(p.groups, p.groups), () => {
        f.set(h, v128.xor(key, i32x4.mul(indices, i32x4.const(FIBONACCI_MULTIPLIER))));
        hash(f, h);
        f.store(y, kept());
        f.set(indices, i32x4.add(indices, i32x4.const(4 * channelStep)));
        f.advance(y, VECTOR);
      });
      f.advance(p.y, pixel);
      f.advance(p.index, pixelStep);
    });
  },
});
