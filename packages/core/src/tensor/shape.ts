/** Shapes are plain arrays of numbers; this file holds the few things one does with them. */

/** The extent of each dimension, outermost first: `[n, c, h, w]` for pictures, `[n, classes]` for logits. */
export type Shape = readonly number[];

/** The number of elements: the product of all extents, 1 for a scalar's `[]`. */
export const sizeOf = (shape: Shape): number => shape.reduce((product, extent) => product * extent, 1);

/** Whether two shapes are the same, extent by extent. */
export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((extent, i) => extent === b[i]);

/** `1x3x224x224`, as shapes are written in messages, tables and on the command line; `scalar` for `[]`. */
export const formatShape = (shape: Shape): string => (shape.length === 0 ? 'scalar' : shape.join('x'));
