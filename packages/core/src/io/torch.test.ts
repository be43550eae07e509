import { deflateRawSync } from 'node:zlib';
import { cpuTime } from '@cnn/testing/cpuTime';
import {
  bytesOf,
  call,
  dict,
  floats,
  legacyFile,
  legacyMagic,
  name,
  type Python,
  pickle,
  pickledTensor,
  plain,
  type Storages,
  six,
  sixStorage,
  storage,
  text,
  torchZip,
  tuple,
  zipFile,
} from '@cnn/testing/weightFiles';
import { describe, expect, test } from 'vitest';
import { FileFormatError } from '../errors.js';
import { readWeights } from './readWeights.js';

const formats: readonly (readonly [string, (object: Uint8Array, storages?: Storages) => Uint8Array])[] = [
  ['zip', torchZip],
  ['legacy', legacyFile],
];

const read = async (file: Uint8Array): Promise<ReturnType<typeof plain>> => plain(await readWeights(file));
const weight: Python = pickledTensor();

describe.each(formats)('the %s format', (_, file) => {
  test('a tensor', async () => {
    expect(await read(file(pickle({ 'fc.weight': weight })))).toEqual({
      'fc.weight': [
        [2, 3],
        [1, 2, 3, 4, 5, 6],
      ],
    });
  });

  test('tensors that share a storage: offset, transposed, expanded, scalar, empty', async () => {
    const state = {
      tail: pickledTensor({ shape: [2], offset: 4 }),
      turned: pickledTensor({ shape: [3, 2], strides: [1, 3] }),
      column: pickledTensor({ shape: [2, 1], strides: [3, 1], offset: 1 }),
      repeated: pickledTensor({ shape: [2, 3], strides: [0, 1] }),
      scalar: pickledTensor({ shape: [], offset: 2 }),
      empty: pickledTensor({ shape: [0, 3] }),
      emptyAndHuge: pickledTensor({ shape: [2 ** 40, 0, 2 ** 40], strides: [1, 1, 1] }),
    };
    expect(await read(file(pickle(state)))).toEqual({
      tail: [[2], [5, 6]],
      turned: [
        [3, 2],
        [1, 4, 2, 5, 3, 6],
      ],
      column: [
        [2, 1],
        [2, 5],
      ],
      repeated: [
        [2, 3],
        [1, 2, 3, 1, 2, 3],
      ],
      scalar: [[], [3]],
      empty: [[0, 3], []],
      emptyAndHuge: [[2 ** 40, 0, 2 ** 40], []],
    });
  });

  test.each<[string, Uint8Array, number, number[]]>([
    ['DoubleStorage', new Uint8Array(Float64Array.of(1.5, -2).buffer), 8, [1.5, -2]],
    ['HalfStorage', new Uint8Array(Uint16Array.of(0x3e00, 0xc000).buffer), 2, [1.5, -2]],
    ['BFloat16Storage', new Uint8Array(Uint16Array.of(0x3fc0, 0xc000).buffer), 2, [1.5, -2]],
    ['LongStorage', new Uint8Array(BigInt64Array.of(3n, -4n).buffer), 8, [3, -4]],
    ['IntStorage', new Uint8Array(Int32Array.of(3, -4).buffer), 4, [3, -4]],
    ['ShortStorage', new Uint8Array(Int16Array.of(3, -4).buffer), 2, [3, -4]],
    ['CharStorage', Uint8Array.of(3, 252), 1, [3, -4]],
    ['ByteStorage', Uint8Array.of(3, 252), 1, [3, 252]],
    ['BoolStorage', Uint8Array.of(0, 1), 1, [0, 1]],
  ])('%s', async (type, bytes, width, values) => {
    const object = pickle({ x: pickledTensor({ type, shape: [2] }), odd: pickledTensor({ key: '1' }) });
    const result = await read(file(object, { '0': { bytes, width }, '1': { bytes: six } }));
    expect(result.x).toEqual([[2], values]);
    expect(result.odd).toEqual([
      [2, 3],
      [1, 2, 3, 4, 5, 6],
    ]);
  });

  test('types that have no storage class of their own (torch._utils._rebuild_tensor_v3)', async () => {
    const untyped = (dtype: string): Uint8Array =>
      call(
        name('torch._utils', '_rebuild_tensor_v3'),
        bytesOf(tuple('storage', name('torch.storage', 'UntypedStorage'), '0', 'cpu', 4), 'Q'),
        0,
        tuple(2),
        tuple(1),
        false,
        call(name('collections', 'OrderedDict')),
        name('torch', dtype),
      );
    const storages = { '0': { bytes: new Uint8Array(Uint16Array.of(7, 65535).buffer), width: 1 } };
    expect(await read(file(pickle({ x: untyped('uint16') }), storages))).toEqual({ x: [[2], [7, 65535]] });
    await expect(read(file(pickle({ x: untyped('float8_e5m2') }), storages))).rejects.toThrow(
      "'x' is of the type torch.float8_e5m2, which is not supported",
    );
  });

  test('parameters, with attributes too, and tensors of a subclass', async () => {
    const inner = (module: string, what: string, ...args: Python[]): Uint8Array =>
      call(name(module, what), ...args);
    const rebuild = tuple(storage(), 0, tuple(2), tuple(1), false, call(name('collections', 'OrderedDict')));
    const state = {
      parameter: inner('torch._utils', '_rebuild_parameter', pickledTensor({ shape: [2] }), true, dict([])),
      stated: inner(
        'torch._utils',
        '_rebuild_parameter_with_state',
        pickledTensor({ shape: [2] }),
        true,
        dict([]),
        dict([]),
      ),
      subclass: inner(
        'torch._tensor',
        '_rebuild_from_type_v2',
        name('torch._utils', '_rebuild_tensor_v2'),
        name('my.code', 'MyTensor'),
        rebuild,
        dict([['attribute', 1]]),
      ),
    };
    const expected = [[2], [1, 2]];
    expect(await read(file(pickle(state)))).toEqual({
      parameter: expected,
      stated: expected,
      subclass: expected,
    });
  });

  test('a storage that is a view of another, as before PyTorch 0.4', async () => {
    const state = { x: pickledTensor({ shape: [2], offset: 1, view: 3 }) };
    expect(await read(file(pickle(state)))).toEqual({ x: [[2], [5, 6]] });
  });

  test.each<[string, Python, readonly string[]]>([
    [
      'state_dict',
      { epoch: 3, state_dict: { w: weight }, best: weight, optimizer: { state: { a: weight } } },
      ['w'],
    ],
    ['model before net', { net: { n: weight }, model: { m: weight } }, ['m']],
    ['model without tensors', { model: { name: 'x' }, net: { n: weight } }, ['n']],
    ['model.state_dict', { model: { state_dict: { w: weight } } }, ['w']],
    [
      'state_dict before its averaged twin',
      { state_dict_ema: { e: weight }, state_dict: { w: weight } },
      ['w'],
    ],
    ['state_dict_ema alone', { state_dict_ema: { e: weight } }, ['e']],
    ['its own tensors', { w: weight, model: 'resnet', options: { lr: 1 } }, ['w']],
    [
      'the only dict of tensors',
      { generator: { g: weight }, optimizer: { state: { 0: { m: weight } } } },
      ['g'],
    ],
    ['nothing of an empty dict', {}, []],
  ])('of a checkpoint it takes %s', async (_what, object, names) => {
    const storages = names.length > 0 ? sixStorage : {};
    expect([...(await readWeights(file(pickle(object), storages))).keys()]).toEqual(names);
  });

  test.each<[string, Python, RegExp]>([
    ['a number', 3, /it holds 3, no dict of tensors/],
    [
      'a whole model',
      bytesOf(name('my.code', 'Net'), ')', 0x81, dict([]), 'b'),
      /an instance of my.code.Net, no dict/,
    ],
    ['no tensors', { epoch: 3, arch: 'x' }, /no tensors at its top.*'epoch', 'arch'/],
    ['two dicts of tensors', { g: { w: weight }, d: { w: weight } }, /several dicts of tensors: 'g', 'd'/],
    ['a key that is no name', dict([[7, weight]]), /a tensor has the key 7/],
    [
      'a tensor beyond its storage',
      { w: pickledTensor({ shape: [3, 3] }) },
      /'w' reaches to byte 36 of a storage of 24/,
    ],
    ['an offset beyond its storage', { w: pickledTensor({ offset: 2 ** 52 }) }, /'w' reaches/],
    ['a stride beyond its storage', { w: pickledTensor({ strides: [2 ** 52, 1] }) }, /'w' reaches/],
    ['2^60 values', { w: pickledTensor({ shape: [2 ** 30, 2 ** 30], strides: [0, 0] }) }, /maxElements/],
    [
      '2^600 values',
      { w: pickledTensor({ shape: Array(12).fill(2 ** 50), strides: Array(12).fill(0) }) },
      /maxElements/,
    ],
    [
      '2^28 values of a small file',
      { w: pickledTensor({ shape: [2 ** 28], strides: [0] }) },
      /have 268,435,456 values/,
    ],
    ['65 dimensions', { w: pickledTensor({ shape: Array(65).fill(1) }) }, /no proper offset, shape/],
    ['fewer strides than extents', { w: pickledTensor({ shape: [2, 3], strides: [1] }) }, /no proper offset/],
    [
      'a negative extent',
      { w: call(name('torch._utils', '_rebuild_tensor_v2'), storage(), 0, tuple(-1), tuple(1)) },
      /no proper/,
    ],
    [
      'a quantised storage',
      { w: pickledTensor({ type: 'QInt8Storage' }) },
      /QInt8Storage, which is not supported/,
    ],
    [
      'a storage type of JavaScript',
      { w: pickledTensor({ type: 'constructor' }) },
      /torch.constructor, which is not supported/,
    ],
    [
      'a quantised tensor',
      { w: call(name('torch._utils', '_rebuild_qtensor'), storage()) },
      /made by _rebuild_qtensor/,
    ],
    [
      'a tensor without storage',
      { w: call(name('torch._utils', '_rebuild_tensor_v2'), 3) },
      /'w' has no storage/,
    ],
    ['a storage whose key is a list', { w: pickledTensor({ key: ['0'] }) }, /no proper type and key/],
  ])('%s is an error', async (_what, object, message) => {
    const wrong = file(pickle(object));
    await expect(readWeights(wrong)).rejects.toThrow(FileFormatError);
    await expect(readWeights(wrong)).rejects.toThrow(message);
  });

  test('a dict that holds itself, and a parameter that wraps itself, are no traps', async () => {
    const self = bytesOf(0x80, 2, '}q', 0, text('state_dict'), 'h', 0, 's.');
    await expect(readWeights(file(self))).rejects.toThrow(/no tensors/);
    const wrapped = bytesOf(
      '}',
      text('w'),
      'ctorch._utils\n_rebuild_parameter\n]q',
      0,
      'Rq',
      1,
      '0h',
      0,
      'h',
      1,
      'a0h',
      1,
      's.',
    );
    await expect(readWeights(file(wrapped))).rejects.toThrow(/appends to a list after an array was made/);
  });

  test('a hundred thousand names of one large dict are looked into once', async () => {
    const count = 100_000;
    const entries = (value: Uint8Array): Uint8Array => {
      const one = bytesOf('J', [0, 0, 0, 0], value);
      const bytes = new Uint8Array(count * one.length);
      for (let i = 0; i < count; i++) {
        bytes.set(one, i * one.length);
        new DataView(bytes.buffer).setUint32(i * one.length + 1, i, true);
      }
      return bytes;
    };
    const inner = bytesOf('}q', 0, '(', entries(bytesOf('N')), 'u');
    const outer = pickle(bytesOf('}(', text('first'), inner, entries(bytesOf('h', 0)), 'u'));
    const start = cpuTime();
    await expect(readWeights(file(outer))).rejects.toThrow(/it holds no tensors/);
    expect(cpuTime() - start).toBeLessThan(5000);
  });

  test('a shape that changes after the call that made the tensor is refused: Python has read it', async () => {
    const list = (key: number, item: number): Uint8Array => bytesOf(']q', key, '(K', item, 'e');
    const grown = (key: number, item: number): Uint8Array => bytesOf('h', key, 'K', item, 'a');
    const made = call(
      name('torch._utils', '_rebuild_tensor_v2'),
      storage(),
      0,
      list(8, 2),
      list(9, 1),
      false,
      call(name('collections', 'OrderedDict')),
    );
    expect(await read(file(pickle({ w: made })))).toEqual({ w: [[2], [1, 2]] });
    await expect(read(file(pickle({ w: made, x: grown(8, 2), y: grown(9, 0) })))).rejects.toThrow(
      /appends to a list after an array was made with it/,
    );
  });

  test('a missing storage', async () => {
    const object = pickle({ w: pickledTensor({ key: '7' }) });
    await expect(readWeights(file(object))).rejects.toThrow(
      /data\/7' of the tensor 'w' is missing|the type of its storage '0' is unknown/,
    );
    await expect(readWeights(file(object, {}))).rejects.toThrow(/7' of (the tensor )?'w' is missing/);
  });

  test('limits count tensors and values', async () => {
    const two = file(pickle({ a: weight, b: weight }));
    await expect(readWeights(two, { limits: { maxTensors: 1 } })).rejects.toThrow(
      /asks for 2, over the limit maxTensors/,
    );
    await expect(readWeights(two, { limits: { maxElements: 11 } })).rejects.toThrow(
      /asks for 12, over the limit/,
    );
    await expect(readWeights(two, { limits: { maxElements: 12, maxTensors: 2 } })).resolves.toHaveProperty(
      'size',
      2,
    );
  });

  test('float32 stays where it was read, moved down where a view could not start', async () => {
    const bytes = file(pickle({ a: weight, b: pickledTensor({ key: '1' }) }), {
      ...sixStorage,
      '1': { bytes: six },
    });
    const blob = new Blob([bytes as Uint8Array<ArrayBuffer>]);
    const weights = [...(await readWeights(blob)).values()];
    expect(weights.map(({ data }) => [...data])).toEqual([
      [1, 2, 3, 4, 5, 6],
      [1, 2, 3, 4, 5, 6],
    ]);
    expect(new Set(weights.map(({ data }) => data.buffer)).size).toBe(1);
    expect(weights[0]!.data.buffer.byteLength).toBe(bytes.length);
  });

  test('bytes that are given are left as they are, wherever in their buffer they lie', async () => {
    const bytes = file(pickle({ a: weight }));
    for (const shift of [0, 1, 2, 3]) {
      const place = new Uint8Array(bytes.length + shift).subarray(shift);
      place.set(bytes);
      expect(await read(place)).toEqual({
        a: [
          [2, 3],
          [1, 2, 3, 4, 5, 6],
        ],
      });
      expect(await read(Buffer.from(place.buffer, shift))).toEqual({
        a: [
          [2, 3],
          [1, 2, 3, 4, 5, 6],
        ],
      });
      expect(place).toEqual(bytes);
    }
  });
});

describe('zip only', () => {
  const object = pickle({ x: pickledTensor({ shape: [2] }) });

  test('big-endian values, and a byteorder that is neither', async () => {
    const big = { '0': { bytes: floats(1, -2).map((_, i, all) => all[i - (i % 4) + 3 - (i % 4)]!) } };
    expect(await read(torchZip(object, big, 'big'))).toEqual({ x: [[2], [1, -2]] });
    expect(await read(torchZip(object, { '0': { bytes: floats(1, -2) } }, 'little'))).toEqual({
      x: [[2], [1, -2]],
    });
    await expect(read(torchZip(object, big, 'middle'))).rejects.toThrow(/byteorder is 'middle'/);
  });

  test('deflated entries', async () => {
    const packed = (bytes: Uint8Array) => ({ bytes: deflateRawSync(bytes), method: 8, claims: bytes.length });
    expect(await read(zipFile({ 'a/data.pkl': packed(object), 'a/data/0': packed(six) }))).toEqual({
      x: [[2], [1, 2]],
    });
  });

  test('the data.pkl is that of the program, not of its extra files; of two neither', async () => {
    const other = { 'a/extra/data.pkl': object, 'a/extra/data/0': floats(9, 9) };
    const own = { 'a/data.pkl': object, 'a/data/0': floats(1, 2) };
    for (const entries of [
      { ...other, ...own },
      { ...own, ...other },
    ])
      expect(await read(zipFile(entries))).toEqual({ x: [[2], [1, 2]] });
    const folders = { 'b/data.pkl': object, 'b/data/0': floats(9, 9) };
    const foreign = { 'x/extra/data.pkl': object, 'x/extra/data/0': floats(9, 9) };
    for (const entries of [
      { ...folders, ...own },
      { ...own, ...folders },
      { ...foreign, ...own },
    ])
      await expect(read(zipFile(entries))).rejects.toThrow(
        /more than one data\.pkl, '(a|b|x\/extra)\/data\.pkl', /,
      );
  });

  test('archives that are something else say so', async () => {
    await expect(read(zipFile({ 'weights.pth': six }))).rejects.toThrow(/no data.pkl but 'weights.pth'/);
    const script = zipFile({ 'a/data.pkl': object, 'a/constants.pkl': object, 'a/data/0': six });
    await expect(read(script)).rejects.toThrow(/TorchScript program/);
  });
});

describe('legacy only', () => {
  const object = pickle({ x: pickledTensor({ shape: [2] }) });

  test('values are little-endian on whatever machine they were written, as PyTorch writes them', async () => {
    expect(await read(legacyFile(object, sixStorage, false))).toEqual({ x: [[2], [1, 2]] });
  });

  test('protocol 4 puts a frame before the magic number', async () => {
    const framed = bytesOf(0x80, 4, 0x95, [13, 0, 0, 0, 0, 0, 0, 0], legacyMagic.subarray(2));
    const rest = legacyFile(object).subarray(legacyMagic.length);
    expect(await read(bytesOf(framed, rest))).toEqual({ x: [[2], [1, 2]] });
  });

  test.each<[string, Uint8Array, RegExp]>([
    ['another protocol', bytesOf(legacyMagic, pickle(1002)), /protocol is 1002/],
    [
      'no list of storages',
      bytesOf(legacyMagic, pickle(1001), pickle({}), object, pickle(3)),
      /list of its storages/,
    ],
    [
      'a storage of 2^62 values',
      bytesOf(legacyFile(object).subarray(0, -32), [0, 0, 0, 0, 0, 0, 0, 64]),
      /beyond the end|at byte/,
    ],
    [
      'a storage of -1 values',
      bytesOf(legacyFile(object).subarray(0, -32), Array(8).fill(255)),
      /-1 values goes beyond/,
    ],
    [
      'a storage of two types',
      legacyFile(pickle({ x: weight, y: pickledTensor({ type: 'DoubleStorage' }) })),
      /'0' has two element types/,
    ],
    [
      'a storage twice',
      bytesOf(
        legacyMagic,
        pickle(1001),
        pickle({}),
        object,
        pickle(['0', '0']),
        legacyFile(object).subarray(-32),
        six,
      ),
      /occurs twice/,
    ],
  ])('%s is an error', async (_, file, message) => {
    await expect(readWeights(file)).rejects.toThrow(FileFormatError);
    await expect(readWeights(file)).rejects.toThrow(message);
  });
});

test.each([1, 20, 28])(
  'a legacy file that lacks its last %i bytes is said to be cut short',
  async (bytes) => {
    // Six values of 4 bytes after 8 bytes of their number.
    const whole = legacyFile(pickle({ w: weight }));
    await expect(readWeights(whole.subarray(0, whole.length - bytes))).rejects.toThrow(/cut short/);
  },
);
