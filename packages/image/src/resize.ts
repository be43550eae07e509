/**
 * Resizes pictures as Pillow does, bit for bit. Each output pixel is a weighted mean of the input pixels under its
 * filter, which is widened for shrinking. Rows are resized first, then columns, in fixed-point arithmetic; the result
 * in between is rounded to bytes.
 */
import { centredStart } from '@cnn/core/graph';
import { defaultImageLimits, type ImageLike, type RgbImage, rgbOf } from './image.js';

/** Filters, by Pillow's names. */
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

/** Throws for a name that is no filter: JavaScript has no types that refuse it. */
export function checkInterpolation(name: Interpolation): void {
  if (!Object.hasOwn(filters, name))
    throw new RangeError(
      `There is no interpolation '${String(name)}'; choose one of ${Object.keys(filters).join(', ')}.`,
    );
}

/** Fraction bits of a weight: 32, minus 8 for the pixel and 2 for sign and overflow. */
const PRECISION = 22;

/** The weights of one direction: output i reads `count[i]` inputs from `first[i]`. */
interface Weights {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly values: Int32Array;
  /** Length of `values` per output. */
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
  // The weights of one output before rounding. A plain array takes 15 s for a row of 20 million pixels.
  const raw = new Float64Array(stride);
  for (let i = 0; i < output; i++) {
    const centre = (i + 0.5) * scale;
    const from = Math.max(0, Math.trunc(centre - reach + 0.5));
    const to = Math.min(input, Math.trunc(centre + reach + 0.5));
    let sum = 0;
    for (let k = 0; k < to - from; k++) {
      raw[k] = weight((k + from - centre + 0.5) / widening);
      sum += raw[k]!;
    }
    first[i] = from;
    count[i] = to - from;
    for (let k = 0; k < to - from; k++) {
      const value = raw[k]!;
      const share = (sum === 0 ? value : value / sum) * 2 ** PRECISION;
      values[i * stride + k] = Math.trunc(share < 0 ? share - 0.5 : share + 0.5);
    }
  }
  return { first, count, values, stride };
}

const clip = (sum: number): number => Math.min(255, Math.max(0, sum >> PRECISION));
const HALF = 1 << (PRECISION - 1);

/** Resizes each row to `outWidth` pixels. */
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

/** Resizes each column to `outHeight` pixels. */
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

/** Throws unless a size in pixels is a whole number from 1 up. */
export function checkSize(action: string, ...sizes: readonly number[]): void {
  if (!sizes.every((size) => Number.isSafeInteger(size) && size > 0))
    throw new RangeError(
      `A picture cannot be ${action} ${sizes.join(' x ')} pixels; give whole numbers from 1 up.`,
    );
}

/**
 * Resizes a picture.
 * @param interpolation - default `'bilinear'`.
 * @throws TypeError and RangeError for a value that is not a picture: see {@link rgbOf}.
 * @throws RangeError for a size below 1x1, and for more than 100 million pixels: enlarging the shorter side of a file
 * that is one pixel wide and very high would take all memory.
 */
export function resize(
  image: ImageLike,
  width: number,
  height: number,
  interpolation: Interpolation = 'bilinear',
): RgbImage {
  const picture = rgbOf(image);
  checkSize('resized to', width, height);
  checkInterpolation(interpolation);
  // The larger of the result and the picture in between, which has the new width and the old height.
  const pixels = width * Math.max(height, picture.height);
  if (pixels > Math.max(defaultImageLimits.maxPixels, picture.width * picture.height))
    throw new RangeError(
      `A picture of ${picture.width} x ${picture.height} pixels is not resized to ${width} x ${height}: that takes ${pixels} pixels, over the limit of ${defaultImageLimits.maxPixels}. Crop it first.`,
    );
  const wide = width === picture.width ? picture : horizontal(picture, width, interpolation);
  return height === picture.height ? wide : vertical(wide, height, interpolation);
}

/**
 * Resizes the shorter side to `size` pixels and keeps the proportions; the longer side is rounded down.
 * @throws TypeError and RangeError as {@link resize} does.
 */
export function resizeShorter(
  image: ImageLike,
  size: number,
  interpolation: Interpolation = 'bilinear',
): RgbImage {
  const picture = rgbOf(image);
  checkSize('resized to a shorter side of', size);
  const { width, height } = picture;
  return width <= height
    ? resize(picture, size, Math.trunc((size * height) / width), interpolation)
    : resize(picture, Math.trunc((size * width) / height), size, interpolation);
}

/**
 * Cuts a square of `size` x `size` pixels from the centre, as torchvision's `CenterCrop`: a smaller picture gets black
 * edges. `centerCrop` of `@cnn/train` does the same with tensors.
 * @throws TypeError and RangeError for a value that is not a picture: see {@link rgbOf}.
 * @throws RangeError for a size below 1, and for more than 100 million pixels.
 */
export function centerCrop(image: ImageLike, size: number): RgbImage {
  const { width, height, data } = rgbOf(image);
  checkSize('cropped to', size);
  if (size * size > Math.max(defaultImageLimits.maxPixels, width * height))
    throw new RangeError(
      `A picture of ${width} x ${height} pixels is not cropped to ${size} x ${size}: that takes ${size * size} pixels, over the limit of ${defaultImageLimits.maxPixels}.`,
    );
  const [left, top] = [centredStart(width, size), centredStart(height, size)];
  const result = new Uint8Array(3 * size * size);
  const first = Math.max(0, left);
  const count = Math.min(size, width);
  for (let row = Math.max(0, top); row < Math.min(height, top + size); row++) {
    const from = 3 * (row * width + first);
    result.set(data.subarray(from, from + 3 * count), 3 * ((row - top) * size + first - left));
  }
  return { width: size, height: size, data: result };
}
