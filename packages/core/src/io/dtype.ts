/**
 * Converts the number types of weight files to float32. Integers beyond 2^24 round to the nearest float32.
 */

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
 * Gives float32 values in this machine's byte order as a view of `bytes`: a file of 500 MB takes 500 MB of
 * memory, not twice that. At an address that is no multiple of 4 they are copied. Undefined for other types.
 */
export function floatsAt(bytes: Uint8Array, dtype: DType, littleEndian = true): Float32Array | undefined {
  if (dtype !== 'F32' || littleEndian !== littleEndianHere) return undefined;
  const { buffer, byteOffset } = bytes.byteOffset % 4 === 0 ? bytes : Uint8Array.from(bytes);
  return new Float32Array(buffer, byteOffset, bytes.byteLength / 4);
}

/** Converts values to float32: a view of `bytes` where there can be one, else a copy. */
export function toFloat32(bytes: Uint8Array, dtype: DType, littleEndian = true): Float32Array {
  const view = floatsAt(bytes, dtype, littleEndian);
  if (view) return view;
  const count = bytes.byteLength / bytesPerValue(dtype);
  const result = new Float32Array(count);
  gather(bytes, dtype, [{ extent: count, stride: 1 }], littleEndian, result, 0, count);
  return result;
}

/**
 * Converts values `first` to `last - 1` of a strided array, counted in row-major order, to float32.
 * @param bytes - the storage from the array's first value on.
 * @param axes - outermost first, strides in values.
 * @param result - all values of the array.
 */
export function gather(
  bytes: Uint8Array,
  dtype: DType,
  axes: readonly { readonly extent: number; readonly stride: number }[],
  littleEndian: boolean,
  result: Float32Array,
  first: number,
  last: number,
): void {
  const [width, read] = types.get(dtype)!;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const inner = axes.at(-1) ?? { extent: 1, stride: 0 };
  const index = new Array<number>(axes.length).fill(0);
  let at = 0;
  for (let axis = axes.length - 1, rest = first; axis >= 0; axis--) {
    const { extent, stride } = axes[axis]!;
    index[axis] = rest % extent;
    at += index[axis]! * stride;
    rest = Math.floor(rest / extent);
  }
  for (let i = first; i < last; ) {
    // A row of the innermost axis, then one step of the others.
    const count = Math.min(inner.extent - (index.at(-1) ?? 0), last - i);
    for (let k = 0; k < count; k++) result[i + k] = read(view, (at + k * inner.stride) * width, littleEndian);
    i += count;
    at += count * inner.stride;
    for (let axis = axes.length - 1, step = count; axis >= 0; axis--, step = 1) {
      const { extent, stride } = axes[axis]!;
      index[axis]! += step;
      if (axis < axes.length - 1) at += stride;
      if (index[axis]! < extent) break;
      at -= extent * stride;
      index[axis] = 0;
    }
  }
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
