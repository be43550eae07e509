import { expect, test } from 'vitest';
import { aligned, bytesPerValue, type DType, gather, halfToNumber, toFloat32 } from './dtype.js';

const bytes = (values: ArrayBufferView): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

const samples: readonly (readonly [DType, Uint8Array, readonly number[]])[] = [
  ['F64', bytes(Float64Array.of(1.5, -2, 1e300)), [1.5, -2, Number.POSITIVE_INFINITY]],
  ['F32', bytes(Float32Array.of(1.5, -2, 3)), [1.5, -2, 3]],
  ['F16', bytes(Uint16Array.of(0x3e00, 0xc000, 0x0001)), [1.5, -2, 2 ** -24]],
  ['BF16', bytes(Uint16Array.of(0x3fc0, 0xc000, 0x7f80)), [1.5, -2, Number.POSITIVE_INFINITY]],
  ['I64', bytes(BigInt64Array.of(3n, -4n, (1n << 24n) + 1n)), [3, -4, 2 ** 24]],
  ['I32', bytes(Int32Array.of(3, -4, -(2 ** 31))), [3, -4, -(2 ** 31)]],
  ['I16', bytes(Int16Array.of(3, -4, -32768)), [3, -4, -32768]],
  ['I8', bytes(Int8Array.of(3, -4, -128)), [3, -4, -128]],
  ['U64', bytes(BigUint64Array.of(3n, 4n, 1n << 63n)), [3, 4, 2 ** 63]],
  ['U32', bytes(Uint32Array.of(3, 4, 2 ** 31)), [3, 4, 2 ** 31]],
  ['U16', bytes(Uint16Array.of(3, 4, 65535)), [3, 4, 65535]],
  ['U8', Uint8Array.of(3, 4, 255), [3, 4, 255]],
  ['BOOL', Uint8Array.of(0, 1, 2), [0, 1, 1]],
];

/** The same values with their bytes turned round, as a big-endian machine writes them. */
const turned = (source: Uint8Array, width: number): Uint8Array =>
  Uint8Array.from(source, (_, i) => source[i - (i % width) + width - 1 - (i % width)]!);

test.each(samples)(
  '%s becomes float32, of either byte order and at any address',
  (dtype, source, expected) => {
    expect([...toFloat32(source, dtype)]).toEqual(expected);
    expect([...toFloat32(turned(source, bytesPerValue(dtype)), dtype, false)]).toEqual(expected);
    const shifted = new Uint8Array(source.length + 3).subarray(3);
    shifted.set(source);
    expect([...toFloat32(shifted, dtype)]).toEqual(expected);
    const parts = new Float32Array(3);
    gather(shifted, dtype, [{ extent: 3, stride: 1 }], true, parts, 2, 3);
    gather(shifted, dtype, [{ extent: 3, stride: 1 }], true, parts, 0, 2);
    expect([...parts]).toEqual(expected);
  },
);

test('whole numbers of 64 bits are rounded once', () => {
  // A float64 takes the 1 away, and leaves the middle between two float32 values, of which the even one is nearer 0.
  const beside = (1n << 60n) + (1n << 36n) + 1n;
  const above = 2 ** 60 + 2 ** 37;
  expect([...toFloat32(bytes(BigInt64Array.of(beside, -beside, beside - 1n, beside - 2n)), 'I64')]).toEqual([
    above,
    -above,
    2 ** 60,
    2 ** 60,
  ]);
  const widest = (1n << 63n) + (1n << 39n) + 1n;
  expect([...toFloat32(bytes(BigUint64Array.of(widest, 2n ** 64n - 1n)), 'U64')]).toEqual([
    2 ** 63 + 2 ** 40,
    2 ** 64,
  ]);
  const edges = [2n ** 53n + 1n, 2n ** 53n - 1n, -(2n ** 63n), 2n ** 63n - 1n];
  expect([...toFloat32(bytes(BigInt64Array.from(edges)), 'I64')]).toEqual([
    2 ** 53,
    2 ** 53,
    -(2 ** 63),
    2 ** 63,
  ]);
});

test('every half is what the format says', () => {
  expect(halfToNumber(0x7bff)).toBe(65504);
  expect(halfToNumber(0x0400)).toBe(2 ** -14);
  expect(halfToNumber(0xfc00)).toBe(Number.NEGATIVE_INFINITY);
  expect(halfToNumber(0x7e00)).toBeNaN();
  expect(Object.is(halfToNumber(0x8000), -0)).toBe(true);
});

/** Gathers a strided array in two parts that end anywhere. */
function gathered(source: Uint8Array, shape: readonly number[], strides: readonly number[]): Float32Array {
  const axes = shape.map((extent, axis) => ({ extent, stride: strides[axis]! }));
  const result = new Float32Array(shape.reduce((product, extent) => product * extent, 1));
  const middle = result.length >> 1;
  gather(source, 'F32', axes, true, result, middle, result.length);
  gather(source, 'F32', axes, true, result, 0, middle);
  return result;
}

test('strides pick values in row-major order, a stride of 0 repeats them', () => {
  const source = bytes(Float32Array.of(0, 1, 2, 3, 4, 5));
  expect([...gathered(source, [3, 2], [1, 3])]).toEqual([0, 3, 1, 4, 2, 5]);
  expect([...gathered(source, [2, 2], [0, 5])]).toEqual([0, 5, 0, 5]);
  expect([...gathered(source, [], [])]).toEqual([0]);
});

test('aligned float32 is a view; bytes that may move are moved to be one', () => {
  const file = new Uint8Array(20);
  const values = file.subarray(6, 18);
  values.set(bytes(Float32Array.of(1, 2, 3)));
  const untouched = file.slice();
  expect(toFloat32(aligned(values, false), 'F32').buffer).not.toBe(file.buffer);
  expect(file).toEqual(untouched);
  const moved = toFloat32(aligned(values, true), 'F32');
  expect(moved.buffer).toBe(file.buffer);
  expect([...moved]).toEqual([1, 2, 3]);
});
