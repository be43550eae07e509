/** Cuts small valid files at every byte and flips their bits: what comes is weights or a FileFormatError, soon. */
import { deflateRawSync } from 'node:zlib';
import { cpuTime } from '@cnn/testing/cpuTime';
import {
  legacyFile,
  type Python,
  pickle,
  pickledTensor,
  six,
  sixStorage,
  torchZip,
  zipFile,
} from '@cnn/testing/weightFiles';
import { expect, test } from 'vitest';
import { FileFormatError } from '../errors.js';
import { random } from '../tensor/random.js';
import { tensor, type Weights } from '../tensor/tensor.js';
import { readWeights } from './readWeights.js';
import { writeSafetensors } from './safetensors.js';

const checkpoint: Python = {
  epoch: 3,
  state_dict: {
    'module.conv.weight': pickledTensor({ strides: [1, 2] }),
    'module.conv.bias': pickledTensor({ key: '1', type: 'HalfStorage', shape: [2] }),
    'module.bn.num_batches_tracked': pickledTensor({ key: '2', type: 'LongStorage', shape: [] }),
  },
};
const storages = {
  ...sixStorage,
  '1': { bytes: Uint8Array.of(0, 0x3e, 0, 0xc0), width: 2 },
  '2': { bytes: Uint8Array.of(7, 0, 0, 0, 0, 0, 0, 0), width: 8 },
};
const packed = (bytes: Uint8Array) => ({
  bytes: deflateRawSync(bytes),
  method: 8,
  claims: bytes.length,
  zip64: true,
});

const files: readonly (readonly [string, Uint8Array])[] = [
  ['legacy', legacyFile(pickle(checkpoint), storages)],
  ['torch zip', torchZip(pickle(checkpoint), storages, 'little')],
  [
    'deflated zip',
    zipFile({ 'a/data.pkl': packed(pickle({ w: pickledTensor() })), 'a/data/0': packed(six) }),
  ],
  [
    'safetensors',
    writeSafetensors(
      new Map([
        ['conv.weight', tensor([1, 2, 3, 4, 5, 6], [2, 3])],
        ['conv.bias', tensor([0.5, -1], [2])],
      ]),
      { by: 'test' },
    ),
  ],
];

/** Values that a small file can give: more would have been taken on its word. */
const FEW = 2 ** 20;

async function weightsOrFormatError(bytes: Uint8Array): Promise<Weights | FileFormatError> {
  const start = cpuTime();
  const result = await readWeights(bytes).catch((error: unknown) => {
    if (error instanceof FileFormatError) return error;
    throw error;
  });
  expect(cpuTime() - start).toBeLessThan(2000);
  if (!(result instanceof Error))
    for (const { shape, data } of result.values()) {
      expect(data.length).toBe(
        shape.includes(0) ? 0 : shape.reduce((product, extent) => product * extent, 1),
      );
      expect(data.length).toBeLessThanOrEqual(FEW);
    }
  return result;
}

test.each(files)('a %s file is read as it is', async (_, bytes) => {
  expect(await weightsOrFormatError(bytes)).toBeInstanceOf(Map);
});

test.each(files)('a %s file cut at any byte is an error', async (_, bytes) => {
  for (let length = 0; length < bytes.length; length++)
    expect(await weightsOrFormatError(bytes.slice(0, length)), `cut to ${length}`).toBeInstanceOf(
      FileFormatError,
    );
});

test.each(files)('a %s file with any byte set to another extreme', async (_, bytes) => {
  for (let at = 0; at < bytes.length; at++)
    for (const value of [0, 0x7f, 0x80, 0xff]) {
      const copy = bytes.slice();
      copy[at] = value;
      await weightsOrFormatError(copy);
    }
});

test.each(files)('a %s file with flipped bits', async (_, bytes) => {
  const source = random(20);
  let read = 0;
  for (let round = 0; round < 3000; round++) {
    const copy = bytes.slice();
    const flips = 1 + source.integer(4);
    for (let i = 0; i < flips; i++) copy[source.integer(copy.length)]! ^= 1 << source.integer(8);
    if (!((await weightsOrFormatError(copy)) instanceof Error)) read++;
  }
  // Neither everything nor nothing: the flips do reach what is checked, and what is not.
  expect(read).toBeGreaterThan(0);
  expect(read).toBeLessThan(3000);
});

test('random bytes after each beginning', async () => {
  const source = random(21);
  for (const [, bytes] of files)
    for (let round = 0; round < 500; round++) {
      const copy = bytes.slice(0, 15 + source.integer(400));
      for (let at = 9 + source.integer(copy.length - 9); at < copy.length; at++)
        copy[at] = source.integer(256);
      await weightsOrFormatError(copy);
    }
});
