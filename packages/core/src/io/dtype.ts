/** From the number types of weight files to float32. Whole numbers beyond 2^24 round to the nearest float32. */

/** The number types that are read, by the name safetensors uses. */
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

/** Bytes of one value. */
export const dtypeBytes: Readonly<Record<DType, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
};

/** The value of an IEEE half: 1 sign, 5 exponent and 10 fraction bits. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const scratch = new DataView(new ArrayBuffer(4));

function bfloatToNumber(bits: number): number {
  scratch.setUint32(0, bits << 16);
  return scratch.getFloat32(0);
}

type Reader = (view: DataView, at: number, little: boolean) => number;

const readers: Readonly<Record<DType, Reader>> = {
  F64: (view, at, little) => view.getFloat64(at, little),
  F32: (view, at, little) => view.getFloat32(at, little),
  F16: (view, at, little) => halfToNumber(view.getUint16(at, little)),
  BF16: (view, at, little) => bfloatToNumber(view.getUint16(at, little)),
  I64: (view, at, little) => Number(view.getBigInt64(at, little)),
  I32: (view, at, little) => view.getInt32(at, little),
  I16: (view, at, little) => view.getInt16(at, little),
  I8: (view, at) => view.getInt8(at),
  U64: (view, at, little) => Number(view.getBigUint64(at, little)),
  U32: (view, at, little) => view.getUint32(at, little),
  U16: (view, at, little) => view.getUint16(at, little),
  U8: (view, at) => view.getUint8(at),
  BOOL: (view, at) => (view.getUint8(at) ? 1 : 0),
};

const littleEndianHere = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/**
 * The values of `bytes` as float32. Aligned float32 in this machine's byte order is a view of the bytes,
 * not a copy: a 500 MB file stays the only 500 MB.
 */
export function toFloat32(bytes: Uint8Array, dtype: DType, littleEndian = true): Float32Array {
  const count = bytes.byteLength / dtypeBytes[dtype];
  if (dtype === 'F32' && littleEndian === littleEndianHere && bytes.byteOffset % 4 === 0)
    return new Float32Array(bytes.buffer, bytes.byteOffset, count);
  if (dtype === 'F32' && littleEndian === littleEndianHere)
    return new Float32Array(Uint8Array.from(bytes).buffer);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const result = new Float32Array(count);
  const read = readers[dtype];
  const step = dtypeBytes[dtype];
  for (let i = 0; i < count; i++) result[i] = read(view, i * step, littleEndian);
  return result;
}
