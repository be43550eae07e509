/** Layout of a tensor in GPU memory: the interface that the planar and the packed layout implement. */
import type { Padding } from '../../../ops/window.js';
import { type Shape, sizeOf } from '../../../tensor/shape.js';
import type { Coordinate } from '../kernels/expression.js';

/** Coordinates of the element that a thread computes, as text of a kernel. */
export interface OutputCoordinates {
  /** Statements that declare the coordinates. */
  readonly statements: string;
  /** Coordinate along each axis of the shape; the padding is subtracted. */
  readonly at: readonly string[];
  /** Condition that the element is no padding; undefined if the layout has none. */
  readonly inside: string | undefined;
}

/** Layout of one tensor. */
export interface Layout {
  readonly shape: Shape;
  /** Zero pixels stored around each image of a batch, so that convolutions need no bounds checks. */
  readonly padding: Padding;
  /** Extent of each axis, padding included. */
  readonly paddedShape: Shape;
  /** Extents of gpu.js's output, one to three, innermost first. Their product is what the layout stores. */
  readonly dims: readonly number[];
  /**
   * True if the host writes the values in the order of WebGL2's textures: the first texel of each four, then
   * the second of each, and so on. False: texel by texel.
   */
  readonly layerMajor: boolean;
  /** Gives the text `[z][y][x]` that reads the element at some coordinates. */
  readonly indexOf: (at: readonly Coordinate[]) => string;
  /** Gives the coordinates of the thread that computes an element. */
  readonly outputCoordinates: () => OutputCoordinates;
  /** Copies row-major values into `staged`, which holds zeros, in the order of the device. */
  readonly toDevice: (unpadded: Float32Array, staged: Float32Array) => void;
  /** Gives values read from the device in row-major order, without padding; may be `staged` itself. */
  readonly toHost: (staged: Float32Array) => Float32Array;
}

/** Chooses the layout of a shape. Default: no padding. */
export type LayoutOf = (shape: Shape, padding?: Padding) => Layout;

/** No padding at any edge. */
export const noPadding: Padding = [0, 0, 0, 0];

/** True if two paddings are equally wide at every edge. */
export const equalPadding = (a: Padding, b: Padding): boolean =>
  a.every((pixels, edge) => pixels === b[edge]);

/** True if a layout stores padding. */
export const hasPadding = ({ padding }: Pick<Layout, 'padding'>): boolean =>
  padding.some((pixels) => pixels > 0);

/** Extents with padding. */
export const paddedShapeOf = (shape: Shape, [top, left, bottom, right]: Padding): Shape =>
  shape.length === 4
    ? [shape[0]!, shape[1]!, top + shape[2]! + bottom, left + shape[3]! + right]
    : [...shape];

/** Number of values that a layout stores, padding included. */
export const storedFloats = ({ dims }: Pick<Layout, 'dims'>): number => sizeOf(dims);

/** Float32 holds all integers up to this. Kernels compute indices in float32, so extents stay below it. */
export const EXACT_INTEGERS = 2 ** 24;
