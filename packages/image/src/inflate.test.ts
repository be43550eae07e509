/** The inflater against Node's zlib: every kind of block, any size of read, damage and the end. */
import { constants, deflateSync, inflateSync } from 'node:zlib';
import { random } from '@cnn/core/graph';
import { describe, expect, test } from 'vitest';
import { InflateError, Inflater } from './inflate.js';

const source = random(11);
const noise = Uint8Array.from({ length: 70_000 }, () => source.integer(256));
const text = Uint8Array.from({ length: 200_000 }, (_, i) =>
  source.integer(9) === 0 ? source.integer(256) : (i * i) % 61,
);
// Frequencies like Fibonacci's numbers give the longest codes.
const skewed = Uint8Array.from({ length: 100_000 }, () => {
  let symbol = 0;
  while (symbol < 40 && source.uniform() < 0.62) symbol++;
  return symbol;
});
const contents = { empty: new Uint8Array(0), noise, text, skewed, zeros: new Uint8Array(300_000) };

/** Inflates a stream by reads of varying size, and checks its end. */
function inflated(stream: Uint8Array, sizes: () => number): Uint8Array {
  const inflater = new Inflater(stream);
  const parts: Uint8Array[] = [];
  for (;;) {
    const part = new Uint8Array(sizes());
    const count = inflater.read(part);
    parts.push(part.subarray(0, count));
    if (count < part.length) break;
  }
  inflater.finish();
  return Buffer.concat(parts);
}

describe.each(Object.entries(contents))('%s', (_, bytes) => {
  test.each([
    ['stored', { level: 0 }],
    ['fixed codes', { strategy: constants.Z_FIXED }],
    ['literals', { strategy: constants.Z_HUFFMAN_ONLY }],
    ['fast', { level: 1 }],
    ['best', { level: 9 }],
    ['small window', { windowBits: 9 }],
  ])('%s', (__, options) => {
    const stream = new Uint8Array(deflateSync(bytes, options));
    expect(
      Buffer.compare(
        inflated(stream, () => 1 + source.integer(5000)),
        bytes,
      ),
    ).toBe(0);
    expect(
      Buffer.compare(
        inflated(stream, () => bytes.length + 1),
        bytes,
      ),
    ).toBe(0);
  });
});

test('a cut or damaged stream gives what zlib gives, or an error where zlib has one', () => {
  const bytes = text.subarray(0, 3000);
  const stream = new Uint8Array(deflateSync(bytes));
  for (let i = 0; i < 1500; i++) {
    const copy = stream.slice(0, i % 3 === 0 ? source.integer(stream.length) : stream.length);
    if (i % 3 !== 0) copy[source.integer(copy.length)]! ^= 1 << source.integer(8);
    const attempt = (): Uint8Array => inflated(copy, () => 500);
    let expected: Uint8Array | undefined;
    try {
      expected = inflateSync(copy);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'Z_DATA_ERROR') expect(attempt).toThrow(InflateError);
      // zlib calls a stream that is cut an error; here it is a short read.
      else expect(attempt).not.toThrow();
      continue;
    }
    expect(Buffer.compare(attempt(), expected)).toBe(0);
  }
});

test('reads only what is wanted of a stream that inflates to much more', () => {
  const bomb = new Uint8Array(deflateSync(new Uint8Array(2 ** 28)));
  const inflater = new Inflater(bomb);
  const started = performance.now();
  expect(inflater.read(new Uint8Array(100))).toBe(100);
  inflater.finish();
  expect(performance.now() - started).toBeLessThan(50);
});

test('bytes after the end are ignored, a wrong checksum is not', () => {
  const stream = new Uint8Array(deflateSync(text));
  const after = Uint8Array.from([...stream, 1, 2, 3]);
  expect(inflated(after, () => 70_000).length).toBe(text.length);
  after[stream.length - 1]! ^= 1;
  expect(() => inflated(after, () => 70_000)).toThrow('its checksum is wrong');
});
