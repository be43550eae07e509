/**
 * Layouts of values in memory. Images and rows are stored in NHWC order. Each pixel holds its channels,
 * padded to a multiple of eight float32. The padding is unspecified, and no result depends on it, so a slice
 * of a value's channels, rows or columns is a value without a copy.
 */
import { type Shape, sizeOf } from '../../../tensor/shape.js';
import { FLOAT, paddedChannels } from '../codegen/kernel.js';
import type { Pointer } from './region.js';

/** A batch of images in NHWC order. Rows of a matrix are 1x1 images. */
export interface Pixels {
  readonly kind: 'pixels';
  readonly at: Pointer;
  /** Number of images. */
  readonly n: number;
  /** Channels, without padding. */
  readonly c: number;
  /** Rows of an image. */
  readonly h: number;
  /** Columns of an image. */
  readonly w: number;
  /** Bytes between neighbouring images. */
  readonly imageStride: number;
  /** Bytes between neighbouring rows of an image. */
  readonly rowStride: number;
  /** Bytes between neighbouring pixels of a row. */
  readonly pixelStride: number;
}

/** A contiguous row-major value, as tensors on the host are: an NCHW image, a vector, a weight. */
export interface Dense {
  readonly kind: 'dense';
  readonly at: Pointer;
  readonly shape: Shape;
}

/** A value in memory. */
export type Value = Pixels | Dense;

/** True if values of this shape are stored in NHWC order: those of two to four dimensions, [n, c, h?, w?]. */
export const isPixelShape = (shape: Shape): boolean => shape.length >= 2 && shape.length <= 4;

/** Returns the extents of a shape [n, c, h?, w?] as a batch of images. */
export const extents = (shape: Shape): { n: number; c: number; h: number; w: number } => ({
  n: shape[0]!,
  c: shape[1]!,
  h: shape[2] ?? 1,
  w: shape[3] ?? 1,
});

/** Returns the size of a row-major value in float32, padded to whole channel blocks. */
export const denseFloats = (shape: Shape): number => paddedChannels(sizeOf(shape));

/** Returns the size in float32 of a value that is no weight and lies in an allocation alone. */
export function storedFloats(shape: Shape): number {
  if (!isPixelShape(shape)) return denseFloats(shape);
  const { n, c, h, w } = extents(shape);
  return n * h * w * paddedChannels(c);
}

/**
 * Returns a value of this shape at an address.
 * @param pixelStride - bytes between neighbouring pixels. Default: the padded channels.
 */
export function valueAt(at: Pointer, shape: Shape, pixelStride?: number): Value {
  if (!isPixelShape(shape)) return { kind: 'dense', at, shape };
  const { n, c, h, w } = extents(shape);
  const stride = pixelStride ?? paddedChannels(c) * FLOAT;
  return {
    kind: 'pixels',
    at,
    n,
    c,
    h,
    w,
    imageStride: h * w * stride,
    rowStride: w * stride,
    pixelStride: stride,
  };
}

/** Returns the strides of a contiguous row-major tensor, in float32. */
export function denseStrides(shape: Shape): readonly number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/** Returns the strides of a value along each axis of its shape, in float32. */
export function stridesOf(value: Value, shape: Shape): readonly number[] {
  if (value.kind === 'dense') return denseStrides(shape);
  const { imageStride, rowStride, pixelStride } = value;
  return [imageStride / FLOAT, 1, rowStride / FLOAT, pixelStride / FLOAT].slice(0, shape.length);
}

/** True if a value is contiguous and row-major, like a tensor on the host. */
export function isDense(value: Value, shape: Shape): boolean {
  const strides = stridesOf(value, shape);
  const dense = denseStrides(shape);
  return shape.every((extent, axis) => extent === 1 || strides[axis] === dense[axis]);
}

/** Returns the address of a row of an image. */
export const rowAt = ({ at, imageStride, rowStride }: Pixels, image: number, row: number): Pointer =>
  at.plus(image * imageStride + row * rowStride);

/** The pixels of a batch, divided into runs with a constant stride between neighbouring pixels. */
export interface PixelRuns {
  /** Number of runs. */
  readonly count: number;
  /** Pixels of each run. */
  readonly pixels: number;
  /** Returns the address of a pixel of a run. Default: the first pixel. */
  readonly at: (value: Pixels, run: number, pixel?: number) => Pointer;
}

/**
 * Returns the longest runs that all of the values have: one for the whole batch if the layouts allow it, else
 * one for each image, else one for each row.
 * @param values - at least one; all have the same number of images, rows and columns.
 */
export function pixelRuns(...values: readonly Pixels[]): PixelRuns {
  const [{ n, h, w }] = values as [Pixels];
  const rowsAreContiguous = values.every(
    ({ rowStride, pixelStride }) => h === 1 || rowStride === w * pixelStride,
  );
  const imagesAreContiguous =
    rowsAreContiguous &&
    values.every(({ imageStride, pixelStride }) => n === 1 || imageStride === h * w * pixelStride);
  const runs = (count: number, pixels: number, start: (value: Pixels, run: number) => number): PixelRuns => ({
    count,
    pixels,
    at: (value, run, pixel = 0) => value.at.plus(start(value, run) + pixel * value.pixelStride),
  });
  if (imagesAreContiguous) return runs(1, n * h * w, () => 0);
  if (rowsAreContiguous) return runs(n, h * w, (value, run) => run * value.imageStride);
  return runs(
    n * h,
    w,
    (value, run) => Math.floor(run / h) * value.imageStride + (run % h) * value.rowStride,
  );
}
