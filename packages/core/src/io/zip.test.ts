import { deflateRawSync } from 'node:zlib';
import { bytesOf, six, u16, u32, u64, zipFile } from '@cnn/testing/weightFiles';
import { describe, expect, test } from 'vitest';
import { FileFormatError } from '../errors.js';
import { inMemory } from './fileBytes.js';
import { defaultLimits, type Limits } from './limits.js';
import { entryBytes, readZip } from './zip.js';

const zip = (file: Uint8Array, limits: Partial<Limits> = {}) =>
  readZip(inMemory(file), { ...defaultLimits, ...limits });
const entry = async (file: Uint8Array, name = 'a'): Promise<Uint8Array> =>
  entryBytes(inMemory(file), (await zip(file)).get(name)!);

test('stored entries are views of the file', async () => {
  const file = zipFile({ 'x/empty': new Uint8Array(0), a: six });
  expect([...(await zip(file)).keys()]).toEqual(['x/empty', 'a']);
  const bytes = await entry(file);
  expect(bytes).toEqual(six);
  expect(bytes.buffer).toBe(file.buffer);
});

test('deflated entries are unpacked', async () => {
  const long = new Uint8Array(100_000).map((_, i) => i % 7);
  const file = zipFile({ a: { bytes: deflateRawSync(long), method: 8, claims: long.length } });
  expect(await entry(file)).toEqual(long);
});

test('64-bit sizes and places are read, and a comment after the directory', async () => {
  const file = zipFile({ b: six, a: { bytes: six, zip64: true } });
  expect(await entry(file)).toEqual(six);
  const commented = bytesOf(file.subarray(0, -2), u16(5), 'PK\x05\x06!');
  expect(await entry(commented)).toEqual(six);
});

test('a 64-bit directory is read', async () => {
  const file = zipFile({ a: six });
  const end = file.length - 22;
  const start = new DataView(file.buffer).getUint32(end + 16, true);
  const record = bytesOf(
    'PK',
    6,
    6,
    u64(44),
    u16(45),
    u16(45),
    u64(0),
    u64(1),
    u64(1),
    u64(end - start),
    u64(start),
  );
  const locator = bytesOf('PK', 6, 7, u32(0), u64(end), u32(1));
  const last = bytesOf(
    'PK',
    5,
    6,
    u32(0),
    u16(0xffff),
    u16(0xffff),
    u32(0xffffffff),
    u32(0xffffffff),
    u16(0),
  );
  expect(await entry(bytesOf(file.subarray(0, end), record, locator, last))).toEqual(six);
  const lost = bytesOf(
    file.subarray(0, end),
    record,
    bytesOf('PK', 6, 7, u32(0), u64(2 ** 53), u32(1)),
    last,
  );
  await expect(zip(lost)).rejects.toThrow(/64-bit directory is not where it says/);
});

const huge = 2 ** 62;
/** Two entries whose values are the same place. */
const overlapping = (): Uint8Array => {
  const file = zipFile({ a: six, b: { bytes: six, at: 0 } });
  return file;
};

describe('a wrong zip file is an error that says what is wrong', () => {
  const empty = deflateRawSync(new Uint8Array(0));
  test.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(0), /shorter than an empty zip/],
    ['no directory', bytesOf('PK', 3, 4, ' '.repeat(100)), /no directory at its end/],
    [
      'values beyond the end',
      zipFile({ a: { bytes: six, zip64: true, at: 1e6 } }),
      /not where the directory says/,
    ],
    [
      'a place of 2^62',
      zipFile({ a: { bytes: six, zip64: true, at: huge } }),
      /not where the directory says/,
    ],
    [
      'stored bytes that claim to be more',
      zipFile({ a: { bytes: six, claims: 25 } }),
      /gives two sizes, 24 and 25/,
    ],
    [
      'a claim of 2^62 bytes',
      zipFile({ a: { bytes: empty, method: 8, claims: huge, zip64: true } }),
      /more than deflate/,
    ],
    [
      'a claim of 4 GB',
      zipFile({ a: { bytes: empty, method: 8, claims: 0xfffffffe } }),
      /more than deflate can hold/,
    ],
    ['entries on top of each other', overlapping(), /'b' overlaps the entry before it/],
    ['bzip2', zipFile({ a: { bytes: six, method: 12 } }), /compressed by method 12/],
    [
      'deflate that is none',
      zipFile({ a: { bytes: bytesOf(7, 7, 7), method: 8 } }),
      /cannot be decompressed/,
    ],
    [
      'more than is claimed',
      zipFile({ a: { bytes: deflateRawSync(new Uint8Array(500)), method: 8, claims: 499 } }),
      /holds more than the 499 bytes/,
    ],
    [
      'less than is claimed',
      zipFile({ a: { bytes: deflateRawSync(new Uint8Array(500)), method: 8, claims: 501 } }),
      /holds 500 bytes and claims 501/,
    ],
  ])('%s', async (_, file, message) => {
    await expect(entry(file)).rejects.toThrow(FileFormatError);
    await expect(entry(file)).rejects.toThrow(message);
  });

  test('two archives joined, and a directory of another size than it states', async () => {
    const file = zipFile({ a: six });
    const joined = bytesOf(zipFile({ a: six.toReversed() }), file);
    await expect(zip(joined)).rejects.toThrow(/does not end at \d+, .* two are joined/);
    await expect(zip(bytesOf('prefix', file))).rejects.toThrow(/two are joined/);
    const view = new DataView(file.buffer);
    view.setUint32(file.length - 10, view.getUint32(file.length - 10, true) - 1, true);
    await expect(zip(file)).rejects.toThrow(/its directory of \d+ bytes at \d+ does not end at/);
    const two = zipFile({ a: six, b: six });
    new DataView(two.buffer).setUint16(two.length - 12, 1, true);
    await expect(zip(two)).rejects.toThrow(/directory is longer than its entries/);
  });

  test('a name twice', async () => {
    const file = zipFile({ aa: six, ab: six });
    const twice = file.map((byte, i) =>
      byte === 'b'.charCodeAt(0) && file[i - 1] === 'a'.charCodeAt(0) ? 97 : byte,
    );
    await expect(zip(twice)).rejects.toThrow(/'aa' occurs twice/);
  });

  test('an entry that is encrypted', async () => {
    const file = zipFile({ a: six });
    const directory = new DataView(file.buffer).getUint32(file.length - 6, true);
    file[directory + 8] = 1;
    await expect(zip(file)).rejects.toThrow(/encrypted/);
  });

  test('a directory larger than a header may be', async () => {
    const file = zipFile({ a: six, b: six });
    await expect(zip(file, { maxHeaderBytes: 91 })).rejects.toThrow(/asks for 92, over the limit maxH/);
  });

  test('entries that unpack to more than a file may be, together', async () => {
    const bytes = deflateRawSync(new Uint8Array(1000));
    const file = zipFile({ a: { bytes, method: 8, claims: 1000 }, b: { bytes, method: 8, claims: 1000 } });
    await expect(zip(file, { maxBytes: 1999 })).rejects.toThrow(/asks for 2,000, over the limit maxBytes/);
  });
});
