/**
 * Converts the arrays of a file to float32 tensors: views of contiguous float32 values, else copies. `signal` is
 * checked every few milliseconds.
 */

import { FileFormatError } from '../errors.js';
import { type Shape, sizeOf } from '../tensor/shape.js';
import type { Tensor, Weights } from '../tensor/tensor.js';
import { timeSlices } from '../yield.js';
import type { ArrayReference } from './arrays.js';
import { bytesPerValue, floatsAt, gather } from './dtype.js';
import { quote } from './quote.js';

/** Values converted between time checks; 2^16 take about a millisecond. */
const STRIDE = 2 ** 16;

/** Number of values. 0 if any extent is 0: the product of the others may be Infinity. */
export const countOf = (shape: Shape): number => (shape.includes(0) ? 0 : sizeOf(shape));

/**
 * Requires that an array lies within its storage; gives the offset after its last byte there.
 * @param name - for errors.
 * @param storageBytes - size of the storage.
 */
export function endOf(
  format: string,
  name: string,
  { dtype, offset, shape, strides }: Omit<ArrayReference, 'storage'>,
  storageBytes: number,
): number {
  const reach = 1 + shape.reduce((sum, extent, axis) => sum + (extent - 1) * strides[axis]!, 0);
  const end = (offset + reach) * bytesPerValue(dtype);
  if (!(end <= storageBytes))
    throw new FileFormatError(
      format,
      `the tensor ${quote(name)} reaches to byte ${end} of a storage of ${storageBytes}`,
    );
  return end;
}

/** True if the values of an array lie one after the other in its storage. */
export function isContiguous({ shape, strides }: Omit<ArrayReference, 'storage'>): boolean {
  const axes = merged(shape, strides);
  return axes.length === 0 || (axes.length === 1 && axes[0]!.stride === 1);
}

/** Converts arrays one after the other. */
export interface Converter {
  /**
   * Makes a tensor.
   * @param name - for errors.
   * @param storage - bytes of the array's storage.
   * @param littleEndian - byte order of the file; an array may have its own.
   * @throws FileFormatError if it reaches beyond its storage.
   */
  tensor(
    name: string,
    array: Omit<ArrayReference, 'storage'>,
    storage: Uint8Array,
    littleEndian: boolean,
  ): Promise<Tensor>;
}

/** Makes a converter. @param format - of the file, for errors. */
export function converter(format: string, signal: AbortSignal | undefined): Converter {
  const sliced = timeSlices(signal);
  return {
    async tensor(name, array, storage, fileIsLittleEndian) {
      await sliced();
      const { dtype, offset, shape, negated, littleEndian = fileIsLittleEndian } = array;
      if (countOf(shape) === 0) return { shape, data: new Float32Array(0) };
      const end = endOf(format, name, array, storage.length);
      const bytes = storage.subarray(offset * bytesPerValue(dtype), end);
      const view = isContiguous(array) && !negated ? floatsAt(bytes, dtype, littleEndian) : undefined;
      if (view) return { shape, data: view };
      const axes = merged(shape, array.strides);
      const data = new Float32Array(sizeOf(shape));
      for (let first = 0; first < data.length; first += STRIDE) {
        const last = Math.min(first + STRIDE, data.length);
        gather(bytes, dtype, axes, littleEndian, data, first, last);
        if (negated) for (let i = first; i < last; i++) data[i] = -data[i]!;
        await sliced();
      }
      return { shape, data };
    },
  };
}

/** One axis of an array: its extent, and the distance of its items in values. */
export interface Axis {
  readonly extent: number;
  readonly stride: number;
}

/** Drops axes of extent 1 and merges axes that are contiguous in memory: a contiguous array has at most one axis. */
function merged(shape: Shape, strides: readonly number[]): readonly Axis[] {
  const axes: Axis[] = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const [extent, stride] = [shape[axis]!, strides[axis]!];
    const inner = axes[0];
    if (extent === 1) continue;
    if (inner && stride === inner.extent * inner.stride)
      axes[0] = { extent: extent * inner.extent, stride: inner.stride };
    else axes.unshift({ extent, stride });
  }
  return axes;
}

/** Bytes that may stay unused in memory before tensors are copied out of it: 8 MiB. */
const UNUSED = 2 ** 23;

/**
 * Copies tensors whose memory would keep more unused bytes alive than they have: the weights of a checkpoint
 * are views of the file's bytes, and would hold the state of the optimizer too. Tensors of the same values
 * still share them.
 */
export async function withoutUnused(weights: Weights, signal: AbortSignal | undefined): Promise<Weights> {
  /** Ranges of the tensors in each buffer, in bytes. */
  const used = new Map<ArrayBufferLike, Map<string, number>>();
  const rangeOf = ({ byteOffset, byteLength }: Float32Array): string => `${byteOffset} ${byteLength}`;
  for (const { data } of weights.values()) {
    const ranges = used.get(data.buffer) ?? new Map<string, number>();
    used.set(data.buffer, ranges.set(rangeOf(data), data.byteLength));
  }
  const sparse = new Set(
    [...used].flatMap(([buffer, ranges]) => {
      const bytes = [...ranges.values()].reduce((sum, length) => sum + length, 0);
      return buffer.byteLength - bytes > Math.max(UNUSED, bytes) ? [buffer] : [];
    }),
  );
  if (sparse.size === 0) return weights;
  const sliced = timeSlices(signal);
  const copies = new Map<ArrayBufferLike, Map<string, Float32Array>>();
  for (const [name, { shape, data }] of weights) {
    if (!sparse.has(data.buffer)) continue;
    await sliced();
    const own = copies.get(data.buffer) ?? new Map<string, Float32Array>();
    const copy = own.get(rangeOf(data)) ?? data.slice();
    copies.set(data.buffer, own.set(rangeOf(data), copy));
    weights.set(name, { shape, data: copy });
  }
  return weights;
}
