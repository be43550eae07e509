/** A tensor on the host: a shape and its values. Nothing to dispose of, nothing hidden. */
import { ShapeError } from '../errors.js';
import { formatShape, type Shape, sizeOf } from './shape.js';

/** Values in row-major order (NCHW for pictures) with their shape. */
export interface Tensor {
  readonly shape: Shape;
  readonly data: Float32Array;
}

/** A tensor whose values lie in a file or are computed: `data` gets all of them, and may get them again. */
export interface StoredTensor extends Tensor {
  /** The values from the first up to but not including the end; they last until the next ones are read. */
  read(first: number, end: number): Float32Array;
}

/** Whether a tensor's values are got when they are read. */
export const isStored = (value: Tensor): value is StoredTensor => 'read' in value;

/** Some of a tensor's values, until the next call; of those in a file no others are read. */
export const valuesOf = (from: Tensor, first: number, end: number): Float32Array =>
  isStored(from) ? from.read(first, end) : from.data.subarray(first, end);

/** What `compute` gives, held weakly: computed again when it is read after it was collected. */
export function heldWeakly<T extends object>(compute: () => T): () => T {
  let held: WeakRef<T> | undefined;
  return () => {
    const value = held?.deref() ?? compute();
    held = new WeakRef(value);
    return value;
  };
}

/** Weights by state-dict name, in state-dict order. */
export type Weights = Map<string, Tensor>;

/**
 * A tensor of the given values, row-major. A `Float32Array` is taken as it is, without a copy.
 * @throws ShapeError when the number of values is not the product of the shape.
 * @example
 * tensor([1, 2, 3, 4, 5, 6], [2, 3]).data.length // 6
 */
export function tensor(data: Float32Array | readonly number[], shape: Shape): Tensor {
  for (const extent of shape)
    if (!Number.isInteger(extent) || extent < 0)
      throw new ShapeError(`A shape holds whole numbers from 0 up, but got [${shape.join(', ')}].`);
  if (data.length !== sizeOf(shape))
    throw new ShapeError(
      `A ${formatShape(shape)} tensor has ${sizeOf(shape)} values, but ${data.length} were given.`,
    );
  return { shape, data: data instanceof Float32Array ? data : Float32Array.from(data) };
}
