import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FileFormatError } from '../errors.js';
import { random } from '../tensor/random.js';
import { tensor, type Weights } from '../tensor/tensor.js';
import { readWeights } from './readWeights.js';
import { writeSafetensors } from './safetensors.js';

const data = join(
  process.env.CNN_SHARED ?? join(import.meta.dirname, '../../../../../shared'),
  'data/checkpoints',
);

const small: Weights = new Map([
  ['conv.weight', tensor([1, 2, 3, 4, 5, 6], [2, 3])],
  ['conv.bias', tensor([0.5, -1], [2])],
]);

/** A safetensors file with a header of one's own making. */
function safetensors(header: unknown, values: Uint8Array = new Uint8Array(0)): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + values.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  file.set(values, 8 + text.length);
  return file;
}

/** Opcodes of a pickle: text stands for itself, numbers for bytes. */
const bytesOf = (...parts: (string | number | readonly number[])[]): Uint8Array =>
  Uint8Array.from(
    parts.flatMap((part) =>
      typeof part === 'string'
        ? [...part].map((c) => c.charCodeAt(0))
        : typeof part === 'number'
          ? [part]
          : [...part],
    ),
  );
const u32 = (value: number): number[] => [
  value & 255,
  (value >> 8) & 255,
  (value >> 16) & 255,
  (value >> 24) & 255,
];
const text = (value: string): (string | number | number[])[] => ['X', u32(value.length), value];

/** A state dict as torch pickles it: one tensor of `shape` in storage `key`. */
const statePickle = (
  name: string,
  { type = 'FloatStorage', shape = [2, 3], strides = [3, 1], offset = 0, key = '0', numel = 6 } = {},
): Uint8Array =>
  bytesOf(
    0x80,
    2,
    '}',
    '(',
    ...text(name),
    'ctorch._utils\n_rebuild_tensor_v2\n',
    '(',
    '(',
    ...text('storage'),
    `ctorch\n${type}\n`,
    ...text(key),
    ...text('cpu'),
    'J',
    u32(numel),
    't',
    'Q',
    'J',
    u32(offset),
    '(',
    ...shape.flatMap((n) => ['J', u32(n)]),
    't',
    '(',
    ...strides.flatMap((n) => ['J', u32(n)]),
    't',
    0x89,
    'ccollections\nOrderedDict\n',
    ')',
    'R',
    't',
    'R',
    'u',
    '.',
  );

/** The older format: four pickles, the list of storages, the storages. */
const legacy = (pickle: Uint8Array, values: Float32Array, key = '0'): Uint8Array =>
  bytesOf(
    [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e],
    0x80,
    2,
    'M',
    0xe9,
    3,
    '.',
    0x80,
    2,
    '}',
    ...text('little_endian'),
    0x88,
    's',
    '.',
    [...pickle],
    0x80,
    2,
    ']',
    ...text(key),
    'a',
    '.',
    u32(values.length),
    u32(0),
    [...new Uint8Array(values.buffer)],
  );

/** A zip file of stored entries. */
function zip(entries: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const u16 = (value: number): number[] => [value & 255, value >> 8];
  const files: number[] = [];
  const directory: number[] = [];
  for (const [name, content] of Object.entries(entries)) {
    const sizes = [...u32(0), ...u32(content.length), ...u32(content.length), ...u16(name.length), ...u16(0)];
    const at = files.length;
    files.push(
      0x50,
      0x4b,
      3,
      4,
      ...u16(20),
      ...u16(0),
      ...u16(0),
      ...u32(0),
      ...sizes,
      ...bytesOf(name),
      ...content,
    );
    directory.push(
      0x50,
      0x4b,
      1,
      2,
      ...u16(20),
      ...u16(20),
      ...u16(0),
      ...u16(0),
      ...u32(0),
      ...sizes,
      ...u16(0),
      ...u16(0),
      ...u16(0),
      ...u32(0),
      ...u32(at),
      ...bytesOf(name),
    );
  }
  const count = u16(Object.keys(entries).length);
  return Uint8Array.from([
    ...files,
    ...directory,
    0x50,
    0x4b,
    5,
    6,
    0,
    0,
    0,
    0,
    ...count,
    ...count,
    ...u32(directory.length),
    ...u32(files.length),
    0,
    0,
  ]);
}

const six = Float32Array.of(1, 2, 3, 4, 5, 6);
const legacyFile = legacy(statePickle('fc.weight'), six);
const zipFile = zip({
  'archive/data.pkl': statePickle('fc.weight'),
  'archive/data/0': new Uint8Array(six.buffer),
});

describe('safetensors', () => {
  test('what is written is read again, in order, byte for byte the same', async () => {
    const bytes = writeSafetensors(small, { trainedOn: 'nothing' });
    expect(bytes.length % 8).toBe(0);
    const read = await readWeights(bytes);
    expect([...read]).toEqual([...small]);
    expect(writeSafetensors(read, { trainedOn: 'nothing' })).toEqual(bytes);
  });

  test.each([
    ['F64', new Uint8Array(Float64Array.of(1.5, -2).buffer), [1.5, -2]],
    ['F16', new Uint8Array(Uint16Array.of(0x3e00, 0xc000).buffer), [1.5, -2]],
    ['BF16', new Uint8Array(Uint16Array.of(0x3fc0, 0xc000).buffer), [1.5, -2]],
    ['I64', new Uint8Array(BigInt64Array.of(3n, -4n).buffer), [3, -4]],
    ['I32', new Uint8Array(Int32Array.of(3, -4).buffer), [3, -4]],
    ['U8', Uint8Array.of(3, 255), [3, 255]],
    ['BOOL', Uint8Array.of(0, 1), [0, 1]],
  ])('%s becomes float32', async (dtype, values, expected) => {
    const file = safetensors({ x: { dtype, shape: [2], data_offsets: [0, values.length] } }, values);
    expect([...(await readWeights(file)).get('x')!.data]).toEqual(expected);
  });

  test.each([
    ['a header beyond the end', safetensors('{}').slice(0, 9).fill(200, 0, 1), /starts with|beyond its end/],
    ['a header of 2^60 bytes', bytesOf(0, 0, 0, 0, 0, 0, 0, 16, '{}'), /starts with/],
    ['no JSON', safetensors('{"x":'), /not JSON/],
    [
      'an unknown type',
      safetensors({ x: { dtype: 'F8', shape: [1], data_offsets: [0, 1] } }, new Uint8Array(1)),
      /F8/,
    ],
    [
      'a shape that is too large',
      safetensors({ x: { dtype: 'F32', shape: [1e9, 1e9], data_offsets: [0, 4] } }, new Uint8Array(4)),
      /needs .* bytes/,
    ],
    [
      'offsets beyond the end',
      safetensors({ x: { dtype: 'F32', shape: [2], data_offsets: [0, 8] } }, new Uint8Array(4)),
      /beyond/,
    ],
    [
      'overlapping entries',
      safetensors(
        {
          x: { dtype: 'F32', shape: [1], data_offsets: [0, 4] },
          y: { dtype: 'F32', shape: [1], data_offsets: [2, 6] },
        },
        new Uint8Array(8),
      ),
      /overlaps/,
    ],
    [
      'negative offsets',
      safetensors({ x: { dtype: 'F32', shape: [1], data_offsets: [-4, 0] } }, new Uint8Array(8)),
      /data_offsets/,
    ],
  ])('%s is an error', async (_, file, message) => {
    await expect(readWeights(file)).rejects.toThrow(FileFormatError);
    await expect(readWeights(file)).rejects.toThrow(message);
  });
});

describe('PyTorch files', () => {
  test.each([
    ['legacy', legacyFile],
    ['zip', zipFile],
  ])('the %s format is read', async (_, file) => {
    expect([...(await readWeights(file))]).toEqual([['fc.weight', tensor([1, 2, 3, 4, 5, 6], [2, 3])]]);
  });

  test('transposed and shifted tensors are put in order', async () => {
    const pickle = statePickle('w', { shape: [2, 2], strides: [1, 2], offset: 1 });
    expect([...(await readWeights(legacy(pickle, six))).get('w')!.data]).toEqual([2, 4, 3, 5]);
  });

  test.each([
    [
      'a call of a function',
      bytesOf(0x80, 2, 'cposix\nsystem\n', ...text('true'), 0x85, 'R', '.'),
      /posix.system/,
    ],
    ['a huge text', bytesOf(0x80, 2, 'X', u32(0x7fffffff), '.'), /middle of a value/],
    ['a memo entry that was never stored', bytesOf(0x80, 2, 'h', 7, '.'), /never stored/],
    ['an unknown instruction', bytesOf(0x80, 2, 0xff), /0xff/],
    ['no tensors', bytesOf(0x80, 2, '}', ...text('epoch'), 'K', 3, 's', '.'), /no tensors/],
    ['a tensor beyond its storage', statePickle('w', { shape: [3, 3] }), /reaches/],
    ['a tensor of 2^60 values', statePickle('w', { shape: [1 << 30, 1 << 30], strides: [0, 0] }), /limit/],
    ['a missing storage', statePickle('w', { key: '7' }), /missing|nothing says/],
    ['a quantised storage', statePickle('w', { type: 'QInt8Storage' }), /QInt8Storage/],
  ])('%s is an error', async (_, pickle, message) => {
    for (const file of [
      legacy(pickle, six),
      zip({ 'a/data.pkl': pickle, 'a/data/0': new Uint8Array(six.buffer) }),
    ]) {
      await expect(readWeights(file)).rejects.toThrow(FileFormatError);
      await expect(readWeights(file)).rejects.toThrow(message);
    }
  });

  test('100,000 lists inside each other neither hang nor overflow the stack', async () => {
    const nested = bytesOf(0x80, 2, ']'.repeat(100_000), 'a'.repeat(99_999), '.');
    await expect(readWeights(legacy(nested, six))).rejects.toThrow(/no dict of tensors/);
  });

  test('a list that holds itself is no trap', async () => {
    const cyclic = bytesOf(0x80, 2, '}', 'q', 0, ...text('state_dict'), 'h', 0, 's', '.');
    await expect(readWeights(legacy(cyclic, six))).rejects.toThrow(FileFormatError);
  });

  test.each([
    ['legacy', legacyFile],
    ['zip', zipFile],
    ['safetensors', writeSafetensors(small)],
  ])('a %s file cut anywhere or with flipped bits gives weights or a FileFormatError', async (_, file) => {
    const source = random(7);
    const broken = [
      ...Array.from(file, (_byte, length) => file.slice(0, length)),
      ...Array.from({ length: 600 }, () => {
        const copy = file.slice();
        for (let i = 0; i < 3; i++) copy[source.integer(copy.length)]! ^= 1 << source.integer(8);
        return copy;
      }),
    ];
    for (const bytes of broken)
      await readWeights(bytes).catch((error: unknown) => {
        if (!(error instanceof FileFormatError)) throw error;
      });
  });
});

describe('options', () => {
  test('rename rules, a function, and a clash', async () => {
    const file = writeSafetensors(small);
    expect([...(await readWeights(file, { rename: [[/^conv\./, 'features.0.']] })).keys()]).toEqual([
      'features.0.weight',
      'features.0.bias',
    ]);
    expect([
      ...(await readWeights(file, { rename: (name) => (name.endsWith('bias') ? undefined : name) })).keys(),
    ]).toEqual(['conv.weight']);
    await expect(readWeights(file, { rename: () => 'x' })).rejects.toThrow("the name 'x'");
  });

  test('a prefix that all keys share goes, and the counters of batch norm', async () => {
    const wrapped: Weights = new Map([
      ['module.bn.weight', tensor([1], [1])],
      ['module.bn.num_batches_tracked', tensor([7], [1])],
    ]);
    expect([...(await readWeights(writeSafetensors(wrapped))).keys()]).toEqual(['bn.weight']);
  });

  test('limits hold before memory is taken', async () => {
    await expect(readWeights(writeSafetensors(small), { limits: { maxElements: 7 } })).rejects.toThrow(
      /maxElements/,
    );
    await expect(readWeights(writeSafetensors(small), { limits: { maxBytes: 7 } })).rejects.toThrow(
      /maxBytes/,
    );
  });

  test('a wrong hash is an error, the right one and its first digits are not', async () => {
    const file = writeSafetensors(small);
    const digest = Buffer.from(
      await crypto.subtle.digest('SHA-256', file as Uint8Array<ArrayBuffer>),
    ).toString('hex');
    await readWeights(file, { sha256: digest });
    await readWeights(file, { sha256: digest.slice(0, 8) });
    await expect(readWeights(file, { sha256: '00000000' })).rejects.toThrow(
      `starts with ${digest.slice(0, 8)}, expected 00000000`,
    );
  });

  test('an aborted signal and a missing file', async () => {
    await expect(readWeights(writeSafetensors(small), { signal: AbortSignal.abort() })).rejects.toThrow(
      /abort/i,
    );
    await expect(readWeights('/no/such/file.pth')).rejects.toThrow('There is no file /no/such/file.pth');
  });
});

describe.skipIf(!existsSync(data))('real checkpoints (skipped where the data is absent)', () => {
  test.each([
    ['mobilenetv1_025_imagenet.tar', 137, 'stage1.0.0.weight', [8, 3, 3, 3]],
    ['resnet20_cifar10-12fca82f.th', 97, 'conv1.weight', [16, 3, 3, 3]],
    ['lenet5_mnist.pth', 10, 'convnet.c1.weight', [6, 1, 5, 5]],
  ])('%s', async (file, count, name, shape) => {
    const weights = await readWeights(readFileSync(join(data, file)));
    expect(weights.get(name)?.shape, [...weights.keys()].join(' ')).toEqual(shape);
    expect(weights.size).toBe(count);
  });
});
