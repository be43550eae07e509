/**
 * Resizes as Pillow does: each output pixel is a weighted mean over all input pixels that fall under its
 * filter, widened when shrinking, in fixed-point arithmetic, rows first and columns after, with a
 * rounding to bytes in between. The pixels equal Pillow's bit for bit.
 */
import { roundHalfEven } from '@cnn/core';
import { defaultImageLimits, type RgbImage } from './image.js';

/** The filters by Pillow's names. */
export type Interpolation = 'bilinear' | 'bicubic';

const filters: Readonly<
  Record<Interpolation, { readonly support: number; readonly weight: (x: number) => number }>
> = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    support: 2,
    // Keys' kernel with a = -0.5.
    weight(x) {
      const d = Math.abs(x);
      if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
      return d < 2 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : 0;
    },
  },
};

/** Fraction bits of a weight: 32 less 8 for the pixel and 2 for the sign and overflow. */
const PRECISION = 22;

/** The weights of one direction: for output i, `count[i]` inputs from `first[i]` on. */
interface Weights {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly values: Int32Array;
  /** Weights kept per output. */
  readonly stride: number;
}

function weightsOf(input: number, output: number, interpolation: Interpolation): Weights {
  const { support, weight } = filters[interpolation];
  const scale = input / output;
  const widening = Math.max(scale, 1);
  const reach = support * widening;
  const stride = Math.ceil(reach) * 2 + 1;
  const first = new Int32Array(output);
  const count = new Int32Array(output);
  const values = new Int32Array(output * stride);
  for (let i = 0; i < output; i++) {
    const centre = (i + 0.5) * scale;
    const from = Math.max(0, Math.trunc(centre - reach + 0.5));
    const to = Math.min(input, Math.trunc(centre + reach + 0.5));
    const raw = Array.from({ length: to - from }, (_, k) => weight((k + from - centre + 0.5) / widening));
    const sum = raw.reduce((total, value) => total + value, 0);
    first[i] = from;
    count[i] = to - from;
    for (const [k, value] of raw.entries()) {
      const share = (sum === 0 ? value : value / sum) * 2 ** PRECISION;
      values[i * stride + k] = Math.trunc(share < 0 ? share - 0.5 : share + 0.5);
    }
  }
  return { first, count, values, stride };
}

const clip = (sum: number): number => Math.min(255, Math.max(0, sum >> PRECISION));
const HALF = 1 << (PRECISION - 1);

/** Resizes rows from `width` to `outWidth` pixels. */
function horizontal(image: RgbImage, outWidth: number, interpolation: Interpolation): RgbImage {
  const { width, height, data } = image;
  const { first, count, values, stride } = weightsOf(width, outWidth, interpolation);
  const result = new Uint8Array(3 * outWidth * height);
  for (let row = 0, to = 0; row < height; row++)
    for (let column = 0; column < outWidth; column++, to += 3) {
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      let from = 3 * (row * width + first[column]!);
      const weights = column * stride;
      for (let k = 0; k < count[column]!; k++, from += 3) {
        const weight = values[weights + k]!;
        red += data[from]! * weight;
        green += data[from + 1]! * weight;
        blue += data[from + 2]! * weight;
      }
      result[to] = clip(red);
      result[to + 1] = clip(green);
      result[to + 2] = clip(blue);
    }
  return { width: outWidth, height, data: result };
}

/** Resizes columns to `outHeight` pixels. */
function vertical(image: RgbImage, outHeight: number, interpolation: Interpolation): RgbImage {
  const { width, height, data } = image;
  const { first, count, values, stride } = weightsOf(height, outHeight, interpolation);
  const rowBytes = 3 * width;
  const result = new Uint8Array(rowBytes * outHeight);
  const sums = new Int32Array(rowBytes);
  for (let row = 0; row < outHeight; row++) {
    sums.fill(HALF);
    for (let k = 0; k < count[row]!; k++) {
      const weight = values[row * stride + k]!;
      const from = (first[row]! + k) * rowBytes;
      for (let i = 0; i < rowBytes; i++) sums[i]! += data[from + i]! * weight;
    }
    for (let i = 0; i < rowBytes; i++) result[row * rowBytes + i] = clip(sums[i]!);
  }
  return { width, height: outHeight, data: result };
}

/**
 * The picture at another size. Default filter `'bilinear'`.
 * @throws RangeError for a size below 1x1, and for one of more than 100 million pixels: a file that is one pixel wide and
 * very high would take all memory there is when its shorter side grows.
 */
export function resize(
  image: RgbImage,
  width: number,
  height: number,
  interpolation: Interpolation = 'bilinear',
): RgbImage {
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1)
    throw new RangeError(
      `A picture cannot be resized to ${width} x ${height} pixels; both must be whole numbers from 1 up.`,
    );
  // Rows are resized first, so that as many rows as before of the new width lie in between.
  const most = width * Math.max(height, image.height);
  if (most > Math.max(defaultImageLimits.maxPixels, image.width * image.height))
    throw new RangeError(
      `A picture of ${image.width} x ${image.height} pixels is not resized to ${width} x ${height}: that takes ${most} pixels, over the limit of ${defaultImageLimits.maxPixels}. Cut it to another shape first.`,
    );
  const wide = width === image.width ? image : horizontal(image, width, interpolation);
  return height === image.height ? wide : vertical(wide, height, interpolation);
}

/** The picture with its shorter side at `size` pixels and its proportions kept; the longer side is rounded down. */
export function resizeShorter(
  image: RgbImage,
  size: number,
  interpolation: Interpolation = 'bilinear',
): RgbImage {
  const { width, height } = image;
  return width <= height
    ? resize(image, size, Math.trunc((size * height) / width), interpolation)
    : resize(image, Math.trunc((size * width) / height), size, interpolation);
}

/** A square of `size` pixels from the middle. @throws RangeError when the picture is smaller. */
export function centerCrop({ width, height, data }: RgbImage, size: number): RgbImage {
  if (width < size || height < size)
    throw new RangeError(
      `A square of ${size} pixels cannot be cut from ${width} x ${height}; resize the picture first.`,
    );
  const left = roundHalfEven((width - size) / 2);
  const top = roundHalfEven((height - size) / 2);
  const result = new Uint8Array(3 * size * size);
  for (let row = 0; row < size; row++) {
    const from = 3 * ((top + row) * width + left);
    result.set(data.subarray(from, from + 3 * size), 3 * row * size);
  }
  return { width: size, height: size, data: result };
}
