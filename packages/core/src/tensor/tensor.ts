/** Tensors on the host: a shape and its values, in memory or lazy. There is nothing to dispose of. */
import { ShapeError } from '../errors.js';
import { describeValue, floatsOf, kindOf } from '../realms.js';
import { formatShape, requireShape, type Shape, sizeOf } from './shape.js';

/**
 * A shape and its values, float32, in row-major order: NCHW for a batch of images. The values are in memory
 * unless the tensor is a {@link LazyTensor}.
 */
export interface Tensor {
  readonly shape: Shape;
  readonly data: Float32Array;
}

/**
 * A tensor that is not in memory: its values are read from a file or computed from other weights on demand.
 *
 * Reading `data` costs a read of the tensor's whole range of the file, or the computation of all its values.
 * The array is cached weakly: once it has been collected as garbage, the next read of `data` loads it again.
 * `read` loads a range only; back ends call it to pack large weights piece by piece. Both run synchronously,
 * and both throw a FileFormatError if the file behind them has changed since `readWeights`.
 */
export interface LazyTensor extends Tensor {
  /**
   * Loads a range of the values.
   * @param first - index of the first value, row-major.
   * @param end - index after the last one; values beyond the end of the tensor are left out.
   * @returns the values, valid until the next call of `read` on any lazy tensor.
   */
  read(first: number, end: number): Float32Array;
}

/** True if a tensor loads its values on demand. */
export const isLazy = (value: Tensor): value is LazyTensor => 'read' in value;

/**
 * Gives values `first` to `end - 1` of a tensor, row-major: a view of a tensor in memory; a lazy tensor loads
 * only this range. Valid until the next call.
 */
export const valuesOf = (from: Tensor, first: number, end: number): Float32Array =>
  isLazy(from) ? from.read(first, end) : from.data.subarray(first, end);

/**
 * Caches the result of `compute` in a WeakRef: once it has been collected as garbage, it is computed again.
 */
export function weaklyCached<T extends object>(compute: () => T): () => T {
  // Some platforms have none (Cloudflare Workers before May 2025): the result is then kept.
  if (typeof WeakRef === 'undefined') {
    let kept: T | undefined;
    return () => (kept ??= compute());
  }
  let cached: WeakRef<T> | undefined;
  return () => {
    const known = cached?.deref();
    if (known) return known;
    const value = compute();
    cached = new WeakRef(value);
    return value;
  };
}

/**
 * Weights by state-dict name, in state-dict order, in memory or lazy. Lazy tensors go from the file to the
 * packed weights of a program so: `readWeights` with `onDemand` makes tensors backed by the file,
 * `evaluateConstants` makes tensors computed from them (folded batch norms), and the back end reads both,
 * range by range, as it packs.
 */
export type Weights = Map<string, Tensor>;

/**
 * Makes a tensor.
 * @param data - the values, row-major; a `Float32Array` (of any realm) is not copied.
 * @param shape - extents of the dimensions, outermost first.
 * @throws TypeError for data or a shape of another kind.
 * @throws ShapeError if an extent is no whole number from 0 up, or the number of values is not their product.
 * @example
 * tensor([1, 2, 3, 4, 5, 6], [2, 3]).data.length // 6
 */
export function tensor(data: Float32Array | readonly number[], shape: Shape): Tensor {
  requireShape(shape);
  const floats = floatsOf(data);
  // Numbers of other types are converted, bytes too; 64-bit integers are of no number type.
  if (!floats && !Array.isArray(data) && !(ArrayBuffer.isView(data) && !/^(Big|DataView)/.test(kindOf(data))))
    throw new TypeError(
      `The data of a tensor is a Float32Array or an array of numbers, got ${describeValue(data)}.`,
    );
  const other = Array.isArray(data) ? data.findIndex((value) => typeof value !== 'number') : -1;
  if (other >= 0)
    throw new TypeError(
      `The data of a tensor are numbers, but value ${other} of the array is ${describeValue(data[other])}.`,
    );
  for (const extent of shape)
    if (!Number.isInteger(extent) || extent < 0)
      throw new ShapeError(`A shape holds whole numbers from 0 up, but got [${shape.join(', ')}].`);
  if (data.length !== sizeOf(shape))
    throw new ShapeError(
      `A ${formatShape(shape)} tensor has ${sizeOf(shape)} values, but ${data.length} were given.`,
    );
  return { shape, data: floats ?? Float32Array.from(data) };
}
