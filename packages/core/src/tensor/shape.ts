/** Shapes: plain arrays of numbers, and the few functions on them. */
import { describeValue } from '../realms.js';

/** Extents of the dimensions, outermost first: `[n, c, h, w]` for images, `[n, classes]` for logits. */
export type Shape = readonly number[];

/**
 * Copies a shape from outside, which the caller may change; nobody may change the copy.
 * @throws TypeError if it is no array.
 */
export function requireShape(shape: unknown): Shape {
  if (!Array.isArray(shape))
    throw new TypeError(`A shape is an array such as [1, 3, 224, 224], got ${describeValue(shape)}.`);
  return Object.freeze([...(shape as Shape)]);
}

/** Number of elements: the product of all extents, 1 for a scalar's `[]`. */
export const sizeOf = (shape: Shape): number => shape.reduce((product, extent) => product * extent, 1);

/** True if two shapes are equal, extent by extent. */
export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((extent, i) => extent === b[i]);

/** Writes a shape as messages, tables and the command line do: `1x3x224x224`, `scalar` for `[]`. */
export const formatShape = (shape: Shape): string => (shape.length === 0 ? 'scalar' : shape.join('x'));
