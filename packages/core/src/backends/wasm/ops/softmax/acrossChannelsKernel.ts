/** Kernels that look at all channels of a pixel together: softmax, its logarithm, local response normalisation. */
import type { LocalResponseNormAttrs } from '../../../../ops/localResponseNorm.js';
import { type FunctionBuilder, f32x4, i32, i32x4, type Local, type V128, v128 } from '../../codegen/index.js';
import {
  CHANNEL_BLOCK,
  defineKernel,
  FLOAT,
  LANES,
  paddedChannels,
  type Variant,
  VECTOR,
} from '../../codegen/kernel.js';
import { exponential, logarithm } from '../../codegen/math.js';

/** Channels of a pixel, and bytes from one pixel to the next. */
export interface ChannelShape {
  readonly channels: number;
  readonly x: number;
  readonly y: number;
}

/** Runs `body` for each vector of a pixel; the last one says how many of its lanes are channels. */
export function eachVector(
  f: FunctionBuilder,
  channels: number,
  addresses: readonly Local<'i32'>[],
  body: (lanes: number) => void,
): void {
  f.repeat(Math.floor(channels / LANES), () => {
    body(LANES);
    for (const address of addresses) f.advance(address, VECTOR);
  });
  if (channels % LANES > 0) body(channels % LANES);
}

/** Vectors that are added up before they are added to the sum of all. */
const SHORT_SUM = 16;

/**
 * The sum over the channels of a pixel, in all lanes of `sum`. Short sums are added up, so that long ones keep
 * their digits.
 */
export function sumChannels(
  f: FunctionBuilder,
  channels: number,
  addresses: readonly Local<'i32'>[],
  sum: Local<'v128'>,
  value: () => V128,
): void {
  const zero = f32x4.const(0);
  const [short] = f.vectors('short sum', 1);
  const some = (count: number): void => {
    f.set(short, zero);
    eachVector(f, count, addresses, (lanes) =>
      f.set(short, f32x4.add(short, firstLanes(value(), lanes, zero))),
    );
    f.set(sum, f32x4.add(sum, short));
  };
  f.set(sum, zero);
  f.repeat(Math.floor(channels / (SHORT_SUM * LANES)), () => some(SHORT_SUM * LANES));
  if (channels % (SHORT_SUM * LANES) > 0) some(channels % (SHORT_SUM * LANES));
  acrossLanes(f, sum, f32x4.add);
}

/** The first `lanes` values, and `other` in the lanes behind. */
export function firstLanes(value: V128, lanes: number, other: V128): V128 {
  if (lanes === LANES) return value;
  return v128.select(value, other, i32x4.lanes(...[0, 1, 2, 3].map((lane) => (lane < lanes ? -1 : 0))));
}

/** One value made of the four lanes, in all of them. */
export function acrossLanes(
  f: FunctionBuilder,
  value: Local<'v128'>,
  combine: (a: V128, b: V128) => V128,
): void {
  const lane = (index: number) => f32x4.splat(f32x4.lane(value, index));
  f.set(value, combine(combine(lane(0), lane(1)), combine(lane(2), lane(3))));
}

/** Softmax over the channels of each pixel, or its logarithm. */
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
  build(f, p, { engine, shape }: Variant<ChannelShape & { readonly logarithmic: boolean }>) {
    const { channels, x: xPixel, y: yPixel, logarithmic } = shape;
    const [x, y] = [f.pointer('x'), f.pointer('y')];
    const [largest, sum, difference, power, log] = f.vectors('value', 5);
    f.repeat(p.pixels, () => {
      f.set(x, p.x);
      f.set(largest, f32x4.const(-Infinity));
      eachVector(f, channels, [x], (lanes) =>
        f.set(largest, f32x4.max(largest, firstLanes(v128.load(x), lanes, largest))),
      );
      acrossLanes(f, largest, f32x4.max);
      f.set(x, p.x);
      f.set(y, p.y);
      f.set(sum, f32x4.const(0));
      eachVector(f, channels, [x, y], (lanes) => {
        f.set(difference, f32x4.sub(v128.load(x), largest));
        exponential(f, engine, [difference], [power]);
        f.store(y, logarithmic ? difference : power);
        f.set(sum, f32x4.add(sum, firstLanes(power, lanes, f32x4.const(0))));
      });
      acrossLanes(f, sum, f32x4.add);
      if (logarithmic) logarithm(f, engine, [sum], [log]);
      f.set(y, p.y);
      eachVector(f, channels, [y], () =>
        f.store(y, logarithmic ? f32x4.sub(v128.load(y), log) : f32x4.div(v128.load(y), sum)),
      );
      f.advance(p.x, xPixel);
      f.advance(p.y, yPixel);
    });
  },
});

/** Bytes of scratch that the normalisation wants, for each thread. */
export const responseScratch = (channels: number, size: number): number =>
  (paddedChannels(channels) + 2 * size + CHANNEL_BLOCK) * FLOAT;

/**
 * Local response normalisation: the squares of a pixel are laid out between zeros, so that the sum over
 * neighbouring channels is a sum of unaligned loads, with nothing to treat apart at the ends.
 */
export const responseNormKernel = defineKernel({
  name: 'response norm',
  parameters: {
    /** Address of the first pixel of x. */
    x: 'address',
    /** Address of the first pixel of y. */
    y: 'address',
    /** Address of the thread's scratch, of `responseScratch` bytes. */
    scratch: 'address',
    /** Number of pixels. */
    pixels: 'integer',
  },
  build(f, p, { engine, shape }: Variant<ChannelShape & LocalResponseNormAttrs>) {
    const { channels, x: xPixel, y: yPixel, size, alpha, beta, k } = shape;
    const [x, y, squares] = [f.pointer('x'), f.pointer('y'), f.pointer('squares')];
    const [value, scale, log] = f.vectors('value', 3);
    const before = Math.floor(size / 2) * FLOAT;
    f.zeroMemory(p.scratch, responseScratch(channels, size));
    f.repeat(p.pixels, () => {
      f.set(x, p.x);
      f.set(squares, i32.add(p.scratch, before));
      eachVector(f, channels, [x, squares], (lanes) => {
        f.set(value, v128.load(x));
        f.store(squares, firstLanes(f32x4.mul(value, value), lanes, f32x4.const(0)));
      });
      f.set(x, p.x);
      f.set(y, p.y);
      f.set(squares, p.scratch);
      eachVector(f, channels, [x, y, squares], () => {
        const sum = Array.from({ length: size }, (_, i): V128 => v128.load(squares, i * FLOAT)).reduce(
          (a, b) => f32x4.add(a, b),
        );
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
      f.advance(p.x, xPixel);
      f.advance(p.y, yPixel);
    });
  },
});
