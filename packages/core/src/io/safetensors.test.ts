import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytesOf, plain, safetensorsFile, u64 } from '@cnn/testing/weightFiles';
import { describe, expect, test } from 'vitest';
import { FileFormatError, ShapeError } from '../errors.js';
import { tensor, type Weights } from '../tensor/tensor.js';
import { readSafetensors, readSafetensorsMetadata, writeSafetensors } from './safetensors.js';

const small: Weights = new Map([
  ['conv.weight', tensor([1, 2, 3, 4, 5, 6], [2, 3])],
  ['0', tensor([0.5, -1], [2])],
  ['scalar "ü"', tensor([7], [])],
  ['empty', tensor([], [0, 3])],
]);

test('the metadata of a file is read from its header alone', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cnn-metadata-'));
  try {
    const path = join(folder, 'weights.safetensors');
    const bytes = writeSafetensors(small, { epoch: '3' });
    const headerLength = new DataView(bytes.buffer).getUint32(0, true);
    writeFileSync(path, bytes.subarray(0, 8 + headerLength));
    expect(await readSafetensorsMetadata(path)).toEqual({ epoch: '3' });
    writeFileSync(path, bytes.subarray(0, 7 + headerLength));
    await expect(readSafetensorsMetadata(path)).rejects.toThrow(/goes beyond its end/);
    writeFileSync(path, bytes.subarray(0, 5));
    await expect(readSafetensorsMetadata(path)).rejects.toThrow(/ends before its header length/);
    writeFileSync(path, bytesOf(u64(2 ** 40)));
    await expect(readSafetensorsMetadata(path)).rejects.toThrow(/over the limit maxHeaderBytes/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe('what is written', () => {
  test('is read again in order, and written again byte for byte the same', () => {
    const bytes = writeSafetensors(small, { trainedOn: 'nothing', epoch: '3' });
    const { weights, metadata } = readSafetensors(bytes);
    expect([...weights.keys()]).toEqual([...small.keys()]);
    expect(plain(weights)).toEqual(plain(small));
    expect(metadata).toEqual({ trainedOn: 'nothing', epoch: '3' });
    expect(writeSafetensors(weights, metadata)).toEqual(bytes);
  });

  test('has its values on an 8-byte boundary, so that they are read in place', () => {
    const bytes = writeSafetensors(small);
    const headerLength = new DataView(bytes.buffer).getUint32(0, true);
    expect(headerLength % 8).toBe(0);
    for (const { data } of readSafetensors(bytes).weights.values()) expect(data.buffer).toBe(bytes.buffer);
  });

  test('is what the format asks for', () => {
    // Written by hand from the description of the format.
    const json = '{"__metadata__":{"a":"b"},"x":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}'.padEnd(
      88,
    );
    expect(writeSafetensors(new Map([['x', tensor([1, -2], [1, 2])]]), { a: 'b' })).toEqual(
      bytesOf(u64(88), json, [0, 0, 0x80, 0x3f], [0, 0, 0, 0xc0]),
    );
  });

  test('no weights are a file too', () => {
    expect(readSafetensors(writeSafetensors(new Map())).weights.size).toBe(0);
  });

  test('a name that the format keeps, and values that do not fill their shape, are refused', () => {
    expect(() => writeSafetensors(new Map([['__metadata__', tensor([1], [1])]]))).toThrow(TypeError);
    expect(() => writeSafetensors(new Map([['x', { shape: [2], data: new Float32Array(3) }]]))).toThrow(
      "'x' has the shape [2], but 3 values",
    );
  });
});

test('values of other kinds and shapes that are none are refused with the name, not written as other values', () => {
  const write = (data: unknown, shape: unknown) =>
    writeSafetensors(new Map([['x', { data, shape }]]) as unknown as Weights);
  for (const [data, kind] of [
    [[1, 2], 'a plain array'],
    [Int32Array.of(1, 2), 'an Int32Array'],
    [Float64Array.of(1, 2), 'a Float64Array'],
    [undefined, 'undefined'],
  ]) {
    expect(() => write(data, [2])).toThrow(TypeError);
    expect(() => write(data, [2])).toThrow(`The values of 'x' are ${kind}; a Float32Array is written.`);
  }
  for (const [shape, shown] of [
    [[0.5, 4], '[0.5, 4]'],
    [[-1, -2], '[-1, -2]'],
    [['2'], '[2]'],
    [2, 'a Number'],
  ]) {
    expect(() => write(Float32Array.of(1, 2), shape)).toThrow(ShapeError);
    expect(() => write(Float32Array.of(1, 2), shape)).toThrow(
      `'x' has the shape ${shown}; a shape is a list`,
    );
  }
});

test('types other than float32 are read', () => {
  const file = safetensorsFile(
    {
      half: { dtype: 'F16', shape: [1], data_offsets: [0, 2] },
      long: { dtype: 'I64', shape: [1], data_offsets: [2, 10] },
      odd: { dtype: 'F32', shape: [1], data_offsets: [10, 14] },
    },
    bytesOf([0, 0x3e], u64(9), [0, 0, 0x80, 0x3f]),
  );
  expect(plain(readSafetensors(file).weights)).toEqual({
    half: [[1], [1.5]],
    long: [[1], [9]],
    odd: [[1], [1]],
  });
});

const one = (extra: object = {}): object => ({
  x: { dtype: 'F32', shape: [1], data_offsets: [0, 4], ...extra },
});
const four = new Uint8Array(4);

describe('a wrong file is an error that says what is wrong', () => {
  test.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(0), /before its header length/],
    ['a header of 2^60 bytes', bytesOf(0, 0, 0, 0, 0, 0, 0, 16, '{}'), /over the limit maxHeaderBytes/],
    ['a header beyond the end', bytesOf(u64(3), '{}'), /header of 3 bytes goes beyond its end/],
    ['no JSON', safetensorsFile('{"x":'), /JSON is damaged/],
    ['no object', safetensorsFile('[]'), /JSON is not an object/],
    ['a header that is no UTF-8', bytesOf(u64(2), [0x7b, 0xff]), /not UTF-8/],
    ['lists in lists', safetensorsFile(`{"x":${'['.repeat(9)}${']'.repeat(9)}}`), /deeper than 3 levels/],
    [
      'a name twice',
      safetensorsFile(
        '{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0078":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
      ),
      /the name 'x' twice/,
    ],
    [
      'a shape twice',
      safetensorsFile('{"x":{"dtype":"U8","shape":[0],"shape":[1],"data_offsets":[0,0]}}'),
      /'shape' twice/,
    ],
    [
      'an unknown type',
      safetensorsFile(one({ dtype: 'F8_E4M3' }), four),
      /'F8_E4M3', which is not supported/,
    ],
    ['a type of JavaScript', safetensorsFile(one({ dtype: 'constructor' }), four), /which is not supported/],
    [
      'a shape too large',
      safetensorsFile(one({ shape: [1e9, 1e9] }), four),
      /has the shape \[1000000000, 1000000000\] of more than 2\^53 bytes, but its offsets span 4/,
    ],
    [
      'a shape of 0 x infinity',
      safetensorsFile(one({ shape: [...Array(30).fill(2 ** 52), 0] })),
      /has the shape \[4503599627370496, .* of more than 2\^53 bytes/,
    ],
    ['a shape that is no list', safetensorsFile(one({ shape: 4 }), four), /no shape of whole numbers/],
    [
      'a fraction in the shape',
      safetensorsFile(one({ shape: [0.5, 2] }), four),
      /'x' has a list of other values/,
    ],
    ...['-0', '0e0', '0E0', '0.0'].flatMap((zero): [string, Uint8Array, RegExp][] => [
      [
        `an extent ${zero}`,
        safetensorsFile(`{"x":{"dtype":"F32","shape":[${zero}],"data_offsets":[0,0]}}`),
        /'x' has a list of other values than whole numbers/,
      ],
      [
        `an offset ${zero}`,
        safetensorsFile(`{"x":{"dtype":"F32","shape":[0],"data_offsets":[${zero},0]}}`),
        /'x' has a list of other values than whole numbers/,
      ],
    ]),
    [
      '65 dimensions',
      safetensorsFile(one({ shape: Array(65).fill(1) }), four),
      /list of more than 64 values/,
    ],
    ['no offsets', safetensorsFile(one({ data_offsets: [0] }), four), /no pair of data_offsets/],
    [
      'negative offsets',
      safetensorsFile(one({ data_offsets: [-4, 0] }), four),
      /'x' has a list of other values/,
    ],
    ['offsets that do not fit the type', safetensorsFile(one({ dtype: 'F64' }), four), /needs 8 bytes/],
    ['values beyond the end', safetensorsFile(one(), new Uint8Array(3)), /beyond the 3 bytes/],
    ['values after the last', safetensorsFile(one(), new Uint8Array(5)), /last 1 bytes belong to no tensor/],
    [
      'a gap',
      safetensorsFile({ ...one(), y: { dtype: 'U8', shape: [1], data_offsets: [5, 6] } }, new Uint8Array(6)),
      /1 bytes before the values of 'y'/,
    ],
    [
      'an overlap',
      safetensorsFile({ ...one(), y: { dtype: 'U8', shape: [2], data_offsets: [2, 4] } }, four),
      /'y' overlap those before them/,
    ],
    ['an entry that is no object', safetensorsFile({ x: 3 }), /'x' is not an object/],
    ['metadata of numbers', safetensorsFile({ __metadata__: { a: 1 } }), /not an object of strings/],
  ])('%s', (_, file, message) => {
    expect(() => readSafetensors(file)).toThrow(FileFormatError);
    expect(() => readSafetensors(file)).toThrow(message);
  });
});

test('a name from the file is not a property of the language', () => {
  const file = safetensorsFile(
    '{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    new Uint8Array(4),
  );
  expect([...readSafetensors(file).weights.keys()]).toEqual(['__proto__']);
});

test('limits are held before the values are touched', () => {
  const file = writeSafetensors(small);
  expect(() => readSafetensors(file, { maxTensors: 3 })).toThrow(/over the limit maxTensors of 3/);
  expect(() => readSafetensors(file, { maxElements: 8 })).toThrow(/asks for 9, over the limit maxElements/);
  expect(() => readSafetensors(file, { maxHeaderBytes: 100 })).toThrow(/maxHeaderBytes/);
  expect(() => readSafetensors(file, { maxElements: 9, maxTensors: 4 })).not.toThrow();
  expect(() => readSafetensors(file, { maxTensors: Number.NaN })).toThrow(TypeError);
});
