import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bytesOf, legacyFile, pickle, pickledTensor, plain, torchZip } from '@cnn/testing/weightFiles';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FileFormatError } from '../errors.js';
import { tensor, type Weights } from '../tensor/tensor.js';
import { sha256OfText } from './hash.js';
import type { ReadWeightsOptions } from './options.js';
import { readWeights } from './readWeights.js';
import { writeSafetensors } from './safetensors.js';
import type { WeightSource } from './source.js';

const small: Weights = new Map([
  ['conv.weight', tensor([1, 2, 3, 4, 5, 6], [2, 3])],
  ['conv.bias', tensor([0.5, -1], [2])],
]);
const file = writeSafetensors(small) as Uint8Array<ArrayBuffer>;
const digits = async (bytes: Uint8Array): Promise<string> =>
  Buffer.from(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)).toString('hex');

let folder = '';
let path = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cnn-weights-'));
  path = join(folder, 'any name');
  await writeFile(path, file);
});
afterAll(() => rm(folder, { recursive: true }));

const sources: readonly (readonly [string, () => WeightSource])[] = [
  ['a path', () => path],
  ['a file: URL', () => pathToFileURL(path)],
  ['a Blob', () => new Blob([file])],
  ['a Uint8Array', () => file],
  ['an ArrayBuffer', () => file.buffer],
];

describe.each(sources)('from %s', (_, source) => {
  const read = (options?: ReadWeightsOptions): Promise<Weights> => readWeights(source(), options);

  test('weights are read', async () => {
    expect(plain(await read())).toEqual(plain(small));
  });

  test('the hash is checked, whole or by its first digits', async () => {
    const hash = await digits(file);
    await read({ sha256: hash });
    await read({ sha256: hash.slice(0, 8).toUpperCase() });
    const wrong = read({ sha256: '0000aaaa' });
    await expect(wrong).rejects.toThrow(FileFormatError);
    await expect(wrong).rejects.toThrow(`its SHA-256 starts with ${hash.slice(0, 8)}, expected 0000aaaa`);
    await expect(read({ sha256: 'abc' })).rejects.toThrow("6 to 64 hexadecimal digits, got 'abc'");
  });

  test('progress ends at the size', async () => {
    const seen: unknown[] = [];
    await read({ onProgress: (progress) => seen.push(progress) });
    expect(seen.at(-1)).toEqual({ loaded: file.length, total: file.length });
  });

  test('a signal ends it with its reason, before or while it reads', async () => {
    await expect(read({ signal: AbortSignal.abort('stop') })).rejects.toBe('stop');
    const controller = new AbortController();
    const reason = new Error('enough');
    const aborted = read({ signal: controller.signal, onProgress: () => controller.abort(reason) });
    await expect(aborted).rejects.toBe(reason);
  });

  test('the size is checked before it is read', async () => {
    const seen: unknown[] = [];
    const limits = { maxBytes: file.length - 1 };
    await expect(read({ limits, onProgress: (progress) => seen.push(progress) })).rejects.toThrow(/maxBytes/);
    expect(seen).toEqual([]);
  });
});

test('rename rules, a prefix, a clash', async () => {
  const state = pickle({
    'module.fc.weight': pickledTensor(),
    'module.bn.num_batches_tracked': pickledTensor(),
  });
  for (const bytes of [torchZip(state), legacyFile(state)]) {
    expect([...(await readWeights(bytes, { rename: [['fc', 'head']] })).keys()]).toEqual(['head.weight']);
  }
  await expect(readWeights(file, { rename: () => 'x' })).rejects.toThrow("the name 'x'");
});

test('an option that is undefined counts as not given', async () => {
  const limits = { maxBytes: undefined, maxElements: undefined };
  expect((await readWeights(file, { limits, sha256: undefined, rename: undefined })).size).toBe(2);
});

test.each<[string, Uint8Array, RegExp]>([
  ['nothing', new Uint8Array(0), /it is empty/],
  ['a web page', bytesOf('<!DOCTYPE html><html>'), /web page or XML; check that the URL/],
  ['a Git LFS pointer', bytesOf('version https://git-lfs.github.com/spec/v1\n'), /git lfs pull/],
  ['gzip', bytesOf(0x1f, 0x8b, 8, 0), /compressed with gzip/],
  ['HDF5', bytesOf(0x89, 'HDF\r\n', 0x1a, '\n'), /HDF5 file, as Keras writes/],
  ['tar', bytesOf('storages', new Uint8Array(249), 'ustar'), /tar archive, as PyTorch wrote before 0.1.10/],
  ['another pickle', pickle({ a: 1 }), /a pickle, but not one of PyTorch's/],
  ['something else', bytesOf('GIF89a..'), /starts with 47 49 46 38 39 61 2e 2e, which is neither/],
])('%s is an error that says so', async (_, bytes, message) => {
  await expect(readWeights(bytes)).rejects.toThrow(FileFormatError);
  await expect(readWeights(bytes)).rejects.toThrow(message);
});

test('a file that is missing, a folder, and where a broken file is', async () => {
  await expect(readWeights(join(folder, 'none.pth'))).rejects.toThrow(
    /There is no file .*none.pth; check the path/,
  );
  await expect(readWeights(folder)).rejects.toThrow(/is not a file/);
  const broken = join(folder, 'broken.safetensors');
  await writeFile(broken, file.subarray(0, -1));
  await expect(readWeights(broken)).rejects.toThrow(`(${broken})`);
});

test.each<[object, string]>([
  [{ sha256: 123456 }, 'The option sha256 is 6 to 64 hexadecimal digits, got 123456.'],
  [{ sha256: ['abcdef'] }, 'The option sha256 is 6 to 64 hexadecimal digits, got a plain array.'],
  [{ signal: {} }, 'The option signal is an AbortSignal, got a plain object.'],
  [{ signal: new AbortController() }, 'The option signal is an AbortSignal, got an AbortController.'],
  [{ onProgress: 5 }, 'The option onProgress is a function, got 5.'],
  [{ onNote: 'x' }, "The option onNote is a function, got 'x'."],
  [
    { rename: 5 },
    'The option rename is a function or a list of rules, each a pattern and its replacement, got 5.',
  ],
  [{ rename: ['a', 'b'] }, 'The option rename is a function or a list of rules'],
  [{ rename: () => 5 }, "The rename function gives a Number for 'conv.weight'; return the new name"],
  [{ cacheDir: 5 }, 'The option cacheDir is the path of a folder, got 5.'],
  [{ from: '' }, "The option from is keys joined by dots, such as 'state_dict_ema', got ''."],
  [{ limits: 5 }, 'The option limits is an object of limits, got 5.'],
  [{ cache: 'no' }, "The option cache is true or false, got 'no'."],
])('a wrong option is a sentence before anything is read: %o', async (options, message) => {
  for (const source of [path, file]) {
    const failed = readWeights(source, options);
    await expect(failed).rejects.toThrow(TypeError);
    await expect(failed).rejects.toThrow(message);
  }
  if (!('rename' in options))
    await expect(readWeights('http://127.0.0.1:1/none', options)).rejects.toThrow(message);
});

test('a signal ends the hash of given bytes', async () => {
  const controller = new AbortController();
  setTimeout(() => controller.abort('stop'), 1);
  // Unheard, the wrong hash would be the error.
  const large = new Uint8Array(300_000_000);
  await expect(readWeights(large, { sha256: 'abcdef', signal: controller.signal })).rejects.toBe('stop');
});

test('bytes that were transferred are refused', async () => {
  const bytes = file.slice();
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  for (const source of [bytes, bytes.buffer])
    await expect(readWeights(source)).rejects.toThrow(/^The bytes of the weights are detached/);
});

test('what is no source is refused', async () => {
  await expect(readWeights(7 as unknown as WeightSource)).rejects.toThrow(TypeError);
});

test('without Node, the hash is that of crypto.subtle', async () => {
  const { getBuiltinModule } = process;
  try {
    process.getBuiltinModule = (() => undefined) as unknown as typeof process.getBuiltinModule;
    await readWeights(file, { sha256: await digits(file) });
    expect(await sha256OfText('abc')).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
    await expect(readWeights(path)).rejects.toThrow(/needs Node 20.16 or newer/);
  } finally {
    process.getBuiltinModule = getBuiltinModule;
  }
});

const checkpoints = join(
  process.env.CNN_SHARED ?? join(import.meta.dirname, '../../../../../shared'),
  'data/checkpoints',
);
if (!existsSync(checkpoints))
  console.warn(`No checkpoints in ${checkpoints}: the tests on real files are skipped.`);

/** The numbers come from Python's own pickle and numpy: the first values, the last one, and the sum in float64. */
interface Known {
  readonly shape: readonly number[];
  readonly start: readonly number[];
  readonly last: number;
  readonly sum: number;
}
const real: readonly (readonly [string, string, number, number, Record<string, Known>])[] = [
  [
    'lenet5_mnist.pth',
    '7b3591ba5a63752a7e728d7f7e511266556a2ec66844810da9f475e07019b85e',
    10,
    61_706,
    {
      'convnet.c1.weight': {
        shape: [6, 1, 5, 5],
        start: [-0.13198238611221313, 0.15133270621299744, 0.3173430562019348],
        last: 0.12901702523231506,
        sum: 1.9455721742124297,
      },
      'convnet.c5.bias': {
        shape: [120],
        start: [-0.020920228213071823, 0.04958009719848633, 0.07861150801181793],
        last: -0.05470277741551399,
        sum: 0.565244034427451,
      },
    },
  ],
  [
    'resnet20_cifar10-12fca82f.th',
    '12fca82f',
    97,
    271_098,
    {
      'conv1.weight': {
        shape: [16, 3, 3, 3],
        start: [-0.13818146288394928, -0.1624176800251007, 0.8207383155822754],
        last: 0.3087101876735687,
        sum: 1.3100982000032673,
      },
      'layer2.1.bn1.running_mean': {
        shape: [32],
        start: [-1.9157569408416748, 4.197200298309326, -1.46111261844635],
        last: -2.4675962924957275,
        sum: -15.528951475396752,
      },
    },
  ],
  [
    'mobilenetv1_025_imagenet.tar',
    '75c37f8d438b7c6aed2e6b310fd0540c40dabf0dd820770bd7082668dfd7c1c1',
    137,
    475_571 - 27,
    {
      'stage1.0.0.weight': {
        shape: [8, 3, 3, 3],
        start: [0.05164044350385666, 0.02491789683699608, -0.0566268190741539],
        last: 0.1785173863172531,
        sum: 5.798084020148963,
      },
      'stage2.1.1.running_var': {
        shape: [128],
        start: [0.020519986748695374, 0.020579040050506592, 0.04253502935171127],
        last: 0.025430120527744293,
        sum: 4.8846495110483374,
      },
      'fc.bias': {
        shape: [1000],
        start: [-0.033473171293735504, -0.0016595282359048724, -0.060852982103824615],
        last: 0.042314108461141586,
        sum: -0.004207723628496751,
      },
    },
  ],
];

describe.skipIf(!existsSync(checkpoints))('real checkpoints', () => {
  test.each(real)('%s', async (name, sha256, count, values, known) => {
    const fromPath = await readWeights(join(checkpoints, name), { sha256 });
    expect(fromPath.size).toBe(count);
    expect([...fromPath.values()].reduce((sum, { data }) => sum + data.length, 0)).toBe(values);
    // The read buffer is the only copy: every tensor is a view of it.
    const buffers = new Set([...fromPath.values()].map(({ data }) => data.buffer));
    expect([...buffers].map(({ byteLength }) => byteLength)).toEqual([
      readFileSync(join(checkpoints, name)).length,
    ]);
    const fromBytes = await readWeights(readFileSync(join(checkpoints, name)));
    expect(plain(fromBytes)).toEqual(plain(fromPath));
    for (const [key, { shape, start, last, sum }] of Object.entries(known)) {
      const { shape: found, data } = fromPath.get(key)!;
      expect(found).toEqual(shape);
      expect([...data.subarray(0, 3), data.at(-1)]).toEqual([...start, last]);
      expect(data.reduce((total, value) => total + value, 0)).toBeCloseTo(sum, 12);
    }
  });
});
