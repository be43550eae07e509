/**
 * Lets `toEqual` compare tensors quickly: projects run this file before their tests. Two typed arrays of the same
 * bytes are equal; everything else is left to the usual comparison, which visits each element as a property.
 */
import { expect } from 'vitest';

const bytesOf = (value: unknown): Uint8Array | undefined =>
  ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : undefined;

function sameBytes(a: unknown, b: unknown): true | undefined {
  const [x, y] = [bytesOf(a), bytesOf(b)];
  if (!x || !y || x.length !== y.length || Object(a).constructor !== Object(b).constructor) return undefined;
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return undefined;
  return true;
}

expect.addEqualityTesters([sameBytes]);
