/**
 * How values lie in memory. Pictures and rows are stored pixel by pixel (NHWC): the channels of a pixel lie
 * together, in a multiple of eight floats. What is in the floats behind the channels is unspecified, and no
 * result depends on it; so a part of a value's channels, rows or columns is a value too, without a copy.
 */
import { type Shape, sizeOf } from '../../../tensor/shape.js';
import { FLOAT, paddedChannels } from '../codegen/kernel.js';
import type { Pointer } from './region.js';

/** A batch of pictures (or of rows: 1x1 pictures), pixel by pixel. Strides are in bytes. */
export interface Pixels {
  readonly kind: 'pixels';
  readonly at: Pointer;
  /** Pictures, channels, rows and columns. */
  readonly n: number;
  readonly c: number;
  readonly h: number;
  readonly w: number;
  readonly image: number;
  readonly row: number;
  readonly pixel: number;
}

/** Values row-major, as tensors on the host are: a planar picture, a vector, anything else. */
export interface Dense {
  readonly kind: 'dense';
  readonly at: Pointer;
  readonly shape: Shape;
}

/** A value in memory. */
export type Value = Pixels | Dense;

/** Whether values of this shape are stored pixel by pixel: rows, lines and pictures. */
export const isPixelShape = (shape: Shape): boolean => shape.length >= 2 && shape.length <= 4;

/** Extents of a shape as a batch of pictures. */
export const extents = (shape: Shape): { n: number; c: number; h: number; w: number } => ({
  n: shape[0]!,
  c: shape[1]!,
  h: shape[2] ?? 1,
  w: shape[3] ?? 1,
});

/** Floats that a value of this shape takes where it lies row-major. */
export const denseFloats = (shape: Shape): number => paddedChannels(sizeOf(shape));

/** Floats that a value of this shape takes when nothing else shares its place, unless it is a weight. */
export function storedFloats(shape: Shape): number {
  if (!isPixelShape(shape)) return denseFloats(shape);
  const { n, c, h, w } = extents(shape);
  return n * h * w * paddedChannels(c);
}

/** A value of this shape at a place; `pixel` is the distance of its pixels if that is more than it needs. */
export function valueAt(at: Pointer, shape: Shape, pixel?: number): Value {
  if (!isPixelShape(shape)) return { kind: 'dense', at, shape };
  const { n, c, h, w } = extents(shape);
  const step = pixel ?? paddedChannels(c) * FLOAT;
  return { kind: 'pixels', at, n, c, h, w, image: h * w * step, row: w * step, pixel: step };
}

/** Row-major strides of a shape, in floats. */
export function denseStrides(shape: Shape): readonly number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/** How far apart neighbours along each axis of the shape lie, in floats. */
export function stridesOf(value: Value, shape: Shape): readonly number[] {
  if (value.kind === 'dense') return denseStrides(shape);
  const { image, row, pixel } = value;
  return [image / FLOAT, 1, row / FLOAT, pixel / FLOAT].slice(0, shape.length);
}

/** Whether the value lies as a tensor on the host does. */
export function isDense(value: Value, shape: Shape): boolean {
  const strides = stridesOf(value, shape);
  const dense = denseStrides(shape);
  return shape.every((extent, axis) => extent === 1 || strides[axis] === dense[axis]);
}

/** Pixels in runs of one distance. */
export interface PixelRuns {
  readonly count: number;
  readonly pixels: number;
  /** Address of a pixel of a run. */
  readonly at: (value: Pixels, run: number, pixel?: number) => Pointer;
}

/**
 * Runs that hold for all of the values, which have the same extents: one run of everything if the layouts
 * allow it, else one for each picture, else one for each row.
 */
export function pixelRuns(...values: readonly Pixels[]): PixelRuns {
  const [{ n, h, w }] = values as [Pixels];
  const rows = values.every(({ row, pixel }) => h === 1 || row === w * pixel);
  const pictures = rows && values.every(({ image, pixel }) => n === 1 || image === h * w * pixel);
  const runs = (count: number, pixels: number, start: (value: Pixels, run: number) => number): PixelRuns => ({
    count,
    pixels,
    at: (value, run, pixel = 0) => value.at.plus(start(value, run) + pixel * value.pixel),
  });
  if (pictures) return runs(1, n * h * w, () => 0);
  if (rows) return runs(n, h * w, (value, run) => run * value.image);
  return runs(n * h, w, (value, run) => Math.floor(run / h) * value.image + (run % h) * value.row);
}
