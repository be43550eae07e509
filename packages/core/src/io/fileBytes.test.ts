import { appendFile, mkdtemp, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { deflateRawSync } from 'node:zlib';
import {
  bytesOf,
  legacyFile,
  pickle,
  pickledTensor,
  plain,
  safetensorsFile,
  six,
  sixStorage,
  torchZip,
  zipFile,
} from '@cnn/testing/weightFiles';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FileFormatError } from '../errors.js';
import { matchParameters } from '../nn/walk.js';
import { isLazy, tensor, valuesOf, type Weights } from '../tensor/tensor.js';
import { readWeights } from './readWeights.js';
import { writeSafetensors } from './safetensors.js';

const small: Weights = new Map([
  ['module.conv.weight', tensor([1, 2, 3, 4, 5, 6], [2, 3])],
  ['module.conv.bias', tensor([0.5, -1], [2])],
  ['module.none', tensor([], [0])],
]);
const file = writeSafetensors(small);

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cnn-on-demand-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function written(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

/** Writes a PyTorch file whose storage '0' has six values, after a storage '1' of `gap` zeros that take no place. */
async function writtenWithGap(name: string, object: Uint8Array, gap: number): Promise<string> {
  const zip = Buffer.from(
    zipFile({ 'archive/data.pkl': object, 'archive/data/1': bytesOf(), 'archive/data/0': six }),
  );
  const cut = zip.indexOf('archive/data/0') - 30;
  /** Adds the gap to 32-bit numbers of a directory entry, by their offsets from the entry's name. */
  const add = (key: string, ...offsets: readonly number[]): void => {
    const at = zip.lastIndexOf(key);
    for (const offset of offsets) zip.writeUInt32LE(zip.readUInt32LE(at + offset) + gap, at + offset);
  };
  add('archive/data/1', 20 - 46, 24 - 46);
  add('archive/data/0', 42 - 46);
  add('PK\x05\x06', 16);
  const path = await written(name, zip.subarray(0, cut));
  await truncate(path, cut + gap);
  await appendFile(path, zip.subarray(cut));
  return path;
}

test('the same weights come, whole or in parts, from a path or a file: URL', async () => {
  const path = await written('small', file);
  for (const source of [path, pathToFileURL(path)]) {
    const weights = await readWeights(source, { onDemand: true });
    expect(plain(weights)).toEqual(plain(await readWeights(source)));
    const stored = weights.get('conv.weight')!;
    expect('read' in stored).toBe(true);
    expect([...valuesOf(stored, 2, 5)]).toEqual([3, 4, 5]);
    // As in an array, a range ends at the last value.
    expect([...valuesOf(stored, 4, 9)]).toEqual([5, 6]);
    expect([...valuesOf(stored, 7, 9)]).toEqual([]);
  }
});

test('other numbers become float32', async () => {
  const half = safetensorsFile(
    { x: { dtype: 'F16', shape: [2], data_offsets: [0, 4] } },
    bytesOf([0, 0x3c, 0, 0xc0]),
  );
  const weights = await readWeights(await written('half', half), { onDemand: true });
  expect([...valuesOf(weights.get('x')!, 1, 2)]).toEqual([-2]);
});

test('a PyTorch file: values that are contiguous stay in it, others are read', async () => {
  const storages = { ...sixStorage, half: { bytes: bytesOf([0, 0x3c, 0, 0xc0]) } };
  const object = pickle({
    'module.plain': pickledTensor(),
    'module.tail': pickledTensor({ shape: [2], offset: 4 }),
    'module.half': pickledTensor({ key: 'half', type: 'HalfStorage', shape: [2] }),
    'module.turned': pickledTensor({ shape: [3, 2], strides: [1, 3] }),
    'module.none': pickledTensor({ shape: [0] }),
  });
  const path = await written('torch', torchZip(object, storages, 'little'));
  const weights = await readWeights(path, { onDemand: true });
  expect(plain(weights)).toEqual(plain(await readWeights(path)));
  expect([...weights].flatMap(([name, value]) => (isLazy(value) ? [name] : []))).toEqual([
    'plain',
    'tail',
    'half',
  ]);
  expect([...valuesOf(weights.get('half')!, 1, 9)]).toEqual([-2]);
  const big = await written('big', torchZip(object, storages, 'big'));
  expect(plain(await readWeights(big, { onDemand: true }))).toEqual(plain(await readWeights(big)));
  const deflated = { bytes: deflateRawSync(six), method: 8, claims: six.length };
  const packed = zipFile({ 'a/data.pkl': pickle({ x: pickledTensor() }), 'a/data/0': deflated });
  expect(plain(await readWeights(await written('packed', packed), { onDemand: true }))).toEqual({
    x: [
      [2, 3],
      [1, 2, 3, 4, 5, 6],
    ],
  });
  const long = torchZip(pickle({ x: pickledTensor({ shape: [7] }) }));
  await expect(readWeights(await written('long', long), { onDemand: true })).rejects.toThrow(
    /'x' reaches to byte 28 of a storage of 24 \(.*long\)/,
  );
  const moved = torchZip(object, storages);
  const place = Buffer.from(moved).indexOf('archive/data/half');
  moved[place - 30] = 0;
  await expect(readWeights(await written('moved', moved), { onDemand: true })).rejects.toThrow(
    /'archive\/data\/half' is not where the directory says/,
  );
});

test('what is neither safetensors nor a zip file, or has to have a hash, is read whole', async () => {
  const legacy = await written('legacy', legacyFile(pickle({ x: pickledTensor() })));
  expect(plain(await readWeights(legacy, { onDemand: true }))).toEqual(plain(await readWeights(legacy)));
  const wrong = readWeights(await written('small', file), { onDemand: true, sha256: '0000aaaa' });
  await expect(wrong).rejects.toThrow('expected 0000aaaa');
});

test('a file that is cut short says so before any value is read, and where it is', async () => {
  const path = await written('short', file.subarray(0, file.length - 4));
  await expect(readWeights(path, { onDemand: true })).rejects.toThrow(/cut short.*\(.*short\)/);
});

test('a file that changes, shrinks or goes away in between is an error', async () => {
  const changes: readonly (readonly [(path: string) => Promise<void>, RegExp])[] = [
    [(path) => truncate(path, file.length - 4), /has changed/],
    [(path) => appendFile(path, 'x'), /has changed/],
    [(path) => utimes(path, 1, 1), /has changed/],
    [(path) => rm(path), /cannot be opened any more/],
    [
      // As `cp -p` does: other values of the same size, and the old time of modification.
      async (path) => {
        const { atime, mtime } = await stat(path);
        await new Promise((resolve) => setTimeout(resolve, 20));
        await writeFile(path, file.with(-1, 1));
        await utimes(path, atime, mtime);
      },
      /has changed/,
    ],
  ];
  for (const [change, message] of changes) {
    const path = await written('changing', file);
    await utimes(path, 1000, 1000);
    const weights = await readWeights(path, { onDemand: true });
    await change(path);
    // Comparing shapes reads no values.
    const expected = new Map([...weights].map(([name, { shape }]) => [name, { shape }]));
    expect(matchParameters(expected, weights).shapeMismatch).toEqual([]);
    for (const read of [
      () => weights.get('conv.bias')!.data,
      () => valuesOf(weights.get('conv.bias')!, 0, 1),
    ]) {
      expect(read).toThrow(FileFormatError);
      expect(read).toThrow(message);
    }
  }
});

test.runIf(process.platform === 'linux')(
  'files larger than any array: on demand, or a sentence',
  async () => {
    // Sparse files, which take no place on the disk.
    const values = 1.5e9;
    const header = safetensorsFile({
      large: { dtype: 'F32', shape: [values], data_offsets: [0, 4 * values] },
      last: { dtype: 'F32', shape: [2], data_offsets: [4 * values, 4 * values + 8] },
    });
    const path = await written('sparse', header);
    await truncate(path, header.length + 4 * values);
    await appendFile(path, bytesOf(new Uint8Array(Float32Array.of(7, 8).buffer)));
    const limits = { maxElements: Infinity };
    const weights = await readWeights(path, { onDemand: true, limits });
    expect([...valuesOf(weights.get('last')!, 0, 2)]).toEqual([7, 8]);
    expect([...valuesOf(weights.get('large')!, values - 1, values)]).toEqual([0]);
    // A checkpoint whose weights are small beside the state of its optimizer.
    const zip = await writtenWithGap('zip', pickle({ model: { x: pickledTensor() } }), 2.5 * 2 ** 30);
    expect(plain(await readWeights(zip, { onDemand: true }))).toEqual({
      x: [
        [2, 3],
        [1, 2, 3, 4, 5, 6],
      ],
    });
    await expect(readWeights(zip)).rejects.toThrow(/over the limit maxBytes .* onDemand: true/);
    await truncate(path, 2 ** 43);
    await expect(readWeights(path, { limits: { maxBytes: Infinity } })).rejects.toThrow(
      /its 8,796,093,022,208 bytes are more than memory, or one array here, can hold\. Save/,
    );
    await expect(readWeights(path)).rejects.toThrow(/raise it: readWeights\(source, { limits: { maxBytes: /);
  },
);
