import { appendFile, mkdtemp, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bytesOf, legacyFile, pickle, pickledTensor, plain, safetensorsFile } from '@cnn/testing/weightFiles';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FileFormatError } from '../errors.js';
import { matchParameters } from '../nn/walk.js';
import { tensor, valuesOf, type Weights } from '../tensor/tensor.js';
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

test('what is no safetensors file, or has to have a hash, is read whole', async () => {
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
  ];
  for (const [change, message] of changes) {
    const path = await written('changing', file);
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
    await truncate(path, 2 ** 43);
    await expect(readWeights(path, { limits: { maxBytes: Infinity } })).rejects.toThrow(
      /its 8,796,093,022,208 bytes are more than memory, or one array here, can hold\. Save/,
    );
    await expect(readWeights(path)).rejects.toThrow(/raise it: readWeights\(source, { limits: { maxBytes: /);
  },
);
