/**
 * Reads damaged files, mutations of small valid ones: each must give a result or a FileFormatError, quickly
 * and in little memory.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { FileFormatError, readWeights, sizeOf, tensor, type Weights, writeSafetensors } from '@cnn/core';
import { decodeImage, encodePng, readIdx } from '@cnn/image';
import {
  bytesOf,
  legacyFile,
  pickle,
  pickledTensor,
  sixStorage,
  torchZip,
  u32,
  zipFile,
} from '@cnn/testing/weightFiles';
import { Draw } from './draw.js';
import { type FuzzOptions, type Outcome, type Report, runCases } from './report.js';
import { Watchdog } from './watchdog.js';

/** Limits for reading one file, in milliseconds and in bytes of additional memory. */
const MAX_MILLISECONDS = 3000;
const MAX_MEMORY = 2 ** 28;

/** Limit on the values of a result; with more, the reader trusted a size that the small file claims. */
const MAX_VALUES = 2 ** 20;

/** Time after which the process is killed, in milliseconds. */
const TIMEOUT_MS = 60_000;

/** A valid file and its reader. */
interface Kind {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Reads a file and returns its number of values. */
  readonly read: (bytes: Uint8Array) => Promise<number>;
}

function valuesIn(weights: Weights): number {
  let count = 0;
  for (const [name, { shape, data }] of weights) {
    if (data.length !== sizeOf(shape))
      throw new Error(`${name} of ${shape.join('x')} comes with ${data.length} values`);
    count += data.length;
  }
  return count;
}

const storages = {
  ...sixStorage,
  '1': { bytes: Uint8Array.of(0, 0x3e, 0, 0xc0), width: 2 },
  '2': { bytes: Uint8Array.of(7, 0, 0, 0, 0, 0, 0, 0), width: 8 },
};

const checkpoint = pickle({
  epoch: 3,
  state_dict: {
    'module.conv.weight': pickledTensor({ strides: [1, 2] }),
    'module.conv.bias': pickledTensor({ key: '1', type: 'HalfStorage', shape: [2] }),
    'module.bn.num_batches_tracked': pickledTensor({ key: '2', type: 'LongStorage', shape: [] }),
  },
});

const deflated = (bytes: Uint8Array) => ({
  bytes: deflateRawSync(bytes),
  method: 8,
  claims: bytes.length,
  zip64: true,
});

const safetensors = writeSafetensors(
  new Map([
    ['conv.weight', tensor([1, 2, 3, 4, 5, 6], [2, 3])],
    ['conv.bias', tensor([0.5, -1], [2])],
  ]),
  { by: 'fuzz' },
);

/** An IDX file of four pictures of 3x2 pixels. */
const idx = bytesOf(
  [0, 0, 8, 3],
  ...[4, 3, 2].map((extent) => u32(extent).reverse()),
  new Uint8Array(24).fill(7),
);

const readBytes = async (bytes: Uint8Array): Promise<number> => valuesIn(await readWeights(bytes));

function kinds(folder: string): readonly Kind[] {
  const readStored = async (bytes: Uint8Array): Promise<number> => {
    const path = join(folder, 'weights.safetensors');
    await writeFile(path, bytes);
    return valuesIn(await readWeights(path, { onDemand: true }));
  };
  const picture = { width: 5, height: 4, data: Uint8Array.from({ length: 60 }, (_, i) => 4 * i) };
  return [
    { name: 'safetensors', bytes: safetensors, read: readBytes },
    { name: 'safetensors read on demand', bytes: safetensors, read: readStored },
    { name: 'torch zip', bytes: torchZip(checkpoint, storages, 'little'), read: readBytes },
    {
      name: 'deflated torch zip',
      bytes: zipFile({
        'a/data.pkl': deflated(pickle({ w: pickledTensor() })),
        'a/data/0': deflated(sixStorage['0']!.bytes),
      }),
      read: readBytes,
    },
    { name: 'legacy torch', bytes: legacyFile(checkpoint, storages), read: readBytes },
    { name: 'PNG', bytes: encodePng(picture), read: async (bytes) => (await decodeImage(bytes)).data.length },
    { name: 'IDX', bytes: idx, read: async (bytes) => (await readIdx(bytes)).data.length },
    {
      name: 'gzipped IDX',
      bytes: new Uint8Array(gzipSync(idx)),
      read: async (bytes) => (await readIdx(bytes)).data.length,
    },
  ];
}

/** Numbers that break readers: zero, one, and the limits of signed and unsigned integers. */
const extremes = [
  0n,
  1n,
  0x7fn,
  0x80n,
  0xffn,
  0xffffn,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];

type Mutation = (bytes: Uint8Array, draw: Draw) => Uint8Array;

const randomIndex = (bytes: Uint8Array, draw: Draw): number => draw.between(0, Math.max(0, bytes.length - 1));

const mutations: readonly Mutation[] = [
  // Replaces a byte, or flips a bit.
  (bytes, draw) => bytes.with(randomIndex(bytes, draw), draw.between(0, 255)),
  (bytes, draw) => {
    const index = randomIndex(bytes, draw);
    return bytes.with(index, bytes[index]! ^ (1 << draw.between(0, 7)));
  },
  // Replaces a length, offset or count, in either byte order.
  (bytes, draw) => {
    const width = draw.pick([1, 2, 4, 8]);
    if (bytes.length < width) return bytes;
    const copy = bytes.slice();
    const start = draw.between(0, bytes.length - width);
    const value = draw.pick(extremes) + BigInt(draw.between(-2, 2));
    const little = draw.chance(0.7);
    for (let i = 0; i < width; i++)
      copy[start + i] = Number(BigInt.asUintN(8, value >> BigInt(8 * (little ? i : width - 1 - i))));
    return copy;
  },
  // Replaces a digit in text.
  (bytes, draw) => {
    const digits = [...bytes.keys()].filter((i) => bytes[i]! >= 0x30 && bytes[i]! <= 0x39);
    if (digits.length === 0) return bytes;
    const index = draw.pick(digits);
    const text = draw.pick([
      '0',
      '-1',
      '1e9',
      '0.5',
      '4294967296',
      '99999999999999999999',
      '1e400',
      'null',
      '[[[[',
    ]);
    return bytesOf(bytes.subarray(0, index), text, bytes.subarray(index + 1));
  },
  // Truncates the file, removes a part, repeats a part, or overwrites bytes with others of the file.
  (bytes, draw) => bytes.slice(0, randomIndex(bytes, draw)),
  (bytes, draw) => {
    const [from, to] = [randomIndex(bytes, draw), randomIndex(bytes, draw)].sort((a, b) => a - b) as [
      number,
      number,
    ];
    return bytesOf(bytes.subarray(0, from), bytes.subarray(to));
  },
  (bytes, draw) => {
    const [from, to] = [randomIndex(bytes, draw), randomIndex(bytes, draw)].sort((a, b) => a - b) as [
      number,
      number,
    ];
    const part = bytes.subarray(from, Math.min(to, from + 2000));
    return bytesOf(
      bytes.subarray(0, to),
      ...Array<Uint8Array>(draw.between(1, 4)).fill(part),
      bytes.subarray(to),
    );
  },
  (bytes, draw) => {
    const copy = bytes.slice();
    copy.copyWithin(randomIndex(bytes, draw), randomIndex(bytes, draw), randomIndex(bytes, draw) + 16);
    return copy;
  },
  // Appends bytes.
  (bytes, draw) => bytesOf(bytes, new Uint8Array(draw.between(1, 64)).fill(draw.between(0, 255))),
];

/** Reads, for each seed, a mutation of one of the files. */
export async function fuzzFiles(options: FuzzOptions): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), 'cnn-fuzz-'));
  const watchdog = new Watchdog(TIMEOUT_MS);
  const files = kinds(folder);
  try {
    return await runCases(options, async (seed) => {
      watchdog.beat(seed);
      const draw = new Draw(seed);
      const kind = draw.pick(files);
      let { bytes } = kind;
      for (let count = draw.pick([0, 1, 1, 1, 2, 2, 3, 5]); count > 0 && bytes.length > 0; count--)
        bytes = draw.pick(mutations)(bytes, draw);
      return readOne(kind, bytes);
    });
  } finally {
    watchdog.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function readOne({ name, bytes: valid, read }: Kind, bytes: Uint8Array): Promise<Outcome> {
  const isValid = bytes.length === valid.length && bytes.every((byte, i) => byte === valid[i]);
  const started = performance.now();
  const before = process.resourceUsage().maxRSS;
  const outcome = await read(bytes).catch((error: unknown) => error as Error);
  const grown = 1024 * (process.resourceUsage().maxRSS - before);
  const time = performance.now() - started;
  const problem = (): string | undefined => {
    if (typeof outcome !== 'number') {
      if (isValid) return `a valid file is rejected: ${outcome.message}`;
      if (!(outcome instanceof FileFormatError))
        return `${outcome.name} instead of FileFormatError: ${outcome.message}`;
      if (outcome.message.length > 2000) return `a message of ${outcome.message.length} characters`;
    } else if (outcome > MAX_VALUES) return `${outcome} values from ${bytes.length} bytes`;
    if (time > MAX_MILLISECONDS) return `it took ${time.toFixed(0)} ms`;
    if (grown > MAX_MEMORY) return `it took ${(grown / 2 ** 20).toFixed(0)} MB`;
    return undefined;
  };
  const found = problem();
  return found === undefined
    ? {}
    : { problem: `${name}: ${found}. The file in base64: ${Buffer.from(bytes).toString('base64')}` };
}
