/**
 * Converts the number types of weight files to float32. Integers beyond 2^24 round to the nearest float32.
 */
import type { Shape } from '../tensor/shape.js';

/** The supported number types, under safetensors' names. */
export type DType =
  | 'F64'
  | 'F32'
  | 'F16'
  | 'BF16'
  | 'I64'
  | 'I32'
  | 'I16'
  | 'I8'
  | 'U64'
  | 'U32'
  | 'U16'
  | 'U8'
  | 'BOOL';

/** Reads the value at byte `at`. */
type Reader = (view: DataView, at: number, little: boolean) => number;

/** Size of a value in bytes, and its reader. A Map, in which a type named 'constructor' is not found. */
const types: ReadonlyMap<string, readonly [bytes: number, read: Reader]> = new Map<string, [number, Reader]>([
  ['F64', [8, (view, at, little) => view.getFloat64(at, little)]],
  ['F32', [4, (view, at, little) => view.getFloat32(at, little)]],
  ['F16', [2, (view, at, little) => halfToNumber(view.getUint16(at, little))]],
  ['BF16', [2, (view, at, little) => bfloatToNumber(view.getUint16(at, little))]],
  ['I64', [8, (view, at, little) => wholeToNumber(view.getBigInt64(at, little))]],
  ['I32', [4, (view, at, little) => view.getInt32(at, little)]],
  ['I16', [2, (view, at, little) => view.getInt16(at, little)]],
  ['I8', [1, (view, at) => view.getInt8(at)]],
  ['U64', [8, (view, at, little) => wholeToNumber(view.getBigUint64(at, little))]],
  ['U32', [4, (view, at, little) => view.getUint32(at, little)]],
  ['U16', [2, (view, at, little) => view.getUint16(at, little)]],
  ['U8', [1, (view, at) => view.getUint8(at)]],
  ['BOOL', [1, (view, at) => (view.getUint8(at) ? 1 : 0)]],
]);

/** True if the value is the name of a supported type. */
export const isDType = (name: unknown): name is DType => typeof name === 'string' && types.has(name);

/** Gives the size of one value in bytes. */
export const bytesPerValue = (dtype: DType): number => types.get(dtype)![0];

/** Decodes an IEEE float16: 1 sign bit, 5 exponent bits, 10 fraction bits. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/**
 * Converts a 64-bit integer to a float64 that rounds to the nearest float32. Rounding to nearest twice, first
 * to float64, could miss it; so beyond 2^53 the low 11 bits are cut off, and the last remaining bit is set if
 * any of them was (round to odd).
 */
function wholeToNumber(value: bigint): number {
  const near = Number(value);
  if (Number.isSafeInteger(near)) return near;
  return Number((value >> 11n) | (value & 2047n ? 1n : 0n)) * 2048;
}

const scratch = new DataView(new ArrayBuffer(4));

/** Decodes a bfloat16: the upper half of a float32. */
function bfloatToNumber(bits: number): number {
  scratch.setUint32(0, bits << 16);
  return scratch.getFloat32(0);
}

/** True if this machine is little-endian, as weight files are. */
export const littleEndianHere = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/**
 * Gives float32 values as little-endian bytes: a view of the values on a little-endian machine, else a copy.
 */
export function littleEndianBytes(values: Float32Array): Uint8Array {
  if (littleEndianHere) return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const bytes = new Uint8Array(values.byteLength);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) view.setFloat32(i * 4, values[i]!, true);
  return bytes;
}

/**
 * Converts values to float32. Float32 in this machine's byte order at a multiple of 4 bytes becomes a view of
 * `bytes`, not a copy: a file of 500 MB takes 500 MB of memory, not twice that.
 */
export function toFloat32(bytes: Uint8Array, dtype: DType, littleEndian = true): Float32Array {
  const [width, read] = types.get(dtype)!;
  const count = bytes.byteLength / width;
  if (dtype === 'F32' && littleEndian === littleEndianHere) {
    if (bytes.byteOffset % 4 === 0) return new Float32Array(bytes.buffer, bytes.byteOffset, count);
    return new Float32Array(Uint8Array.from(bytes).buffer);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const result = new Float32Array(count);
  for (let i = 0; i < count; i++) result[i] = read(view, i * width, littleEndian);
  return result;
}

/**
 * Copies a strided tensor to float32 in row-major order.
 * @param bytes - the storage from the tensor's first value on.
 * @param strides - in values, not bytes.
 */
export function gatherFloat32(
  bytes: Uint8Array,
  dtype: DType,
  shape: Shape,
  strides: readonly number[],
  littleEndian = true,
): Float32Array {
  const [width, read] = types.get(dtype)!;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const result = new Float32Array(shape.reduce((product, extent) => product * extent, 1));
  const index = shape.map(() => 0);
  let at = 0;
  for (let i = 0; i < result.length; i++) {
    result[i] = read(view, at * width, littleEndian);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      at += strides[axis]!;
      if (index[axis]! < shape[axis]!) break;
      at -= shape[axis]! * strides[axis]!;
      index[axis] = 0;
    }
  }
  return result;
}

/**
 * Moves bytes down to a multiple of 4 bytes, in place, so that they can be viewed as float32. PyTorch's
 * legacy format leaves values at odd addresses, and a copy would hold VGG-16's 553 MB twice.
 * @param movable - true if the bytes may be moved, and up to 3 bytes before them overwritten; if false,
 * `bytes` is returned as it is.
 */
export function aligned(bytes: Uint8Array, movable: boolean): Uint8Array {
  const excess = bytes.byteOffset % 4;
  if (excess === 0 || !movable) return bytes;
  const place = new Uint8Array(bytes.buffer, bytes.byteOffset - excess, bytes.byteLength + excess);
  place.copyWithin(0, excess);
  return place.subarray(0, bytes.byteLength);
}
