/** Crafts pickles of state dicts: opcodes out of order, colliding keys, memo bombs, arrays that do not fit. */
import { readWeights } from '@cnn/core';
import { bytesOf, rowMajor, text, u16, u32, u64 } from '@cnn/testing/weightFiles';
import type { Draw } from '../draw.js';
import {
  change,
  collidingTexts,
  extreme,
  indexOf,
  joined,
  longTexts,
  noise,
  rearrange,
  repetitions,
} from './damage.js';
import { type Damage, format, sizeOfWeights } from './format.js';
import { float64, global, numberOp, type Ops, pickled, textOp, type Value } from './pickler.js';

/** Storages by key: the bytes of each value, and their number. */
export type Storages = Record<string, { readonly width: number; readonly count: number }>;

const storageTypes = [
  ['FloatStorage', 4],
  ['FloatStorage', 4],
  ['DoubleStorage', 8],
  ['HalfStorage', 2],
  ['BFloat16Storage', 2],
  ['LongStorage', 8],
  ['IntStorage', 4],
  ['ShortStorage', 2],
  ['CharStorage', 1],
  ['ByteStorage', 1],
  ['BoolStorage', 1],
] as const;

const numpyTypes = ['f8', 'f4', 'f4', 'f2', 'i8', 'i4', 'i2', 'i1', 'u8', 'u4', 'u2', 'u1', 'b1'];

const count = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);

/** Draws a shape of few values. */
export const smallShape = (draw: Draw): number[] =>
  Array.from({ length: draw.between(0, 4) }, () => draw.pick([1, 2, 3, 4, draw.between(0, 6)]));

/** Makes a PyTorch tensor; adds its storage. */
function torchTensor(draw: Draw, storages: Storages): Value {
  const shape = smallShape(draw);
  const [type, width] = draw.pick(storageTypes);
  const offset = draw.between(0, 2);
  const shared = Object.keys(storages).filter((key) => storages[key]!.width === width && width === 4);
  const isShared = shared.length > 0 && draw.chance(0.3) && count(shape) <= storages[shared[0]!]!.count;
  const key = isShared ? shared[0]! : String(Object.keys(storages).length);
  if (!isShared) storages[key] = { width, count: count(shape) + offset };
  const size = storages[key]!.count;
  const typeName = isShared ? 'FloatStorage' : type;
  const tensor: Value = {
    call: global('torch._utils', '_rebuild_tensor_v2'),
    args: [
      {
        persistent: { tuple: ['storage', global('torch', typeName), key, 'cpu', size] },
        text: `('storage', <class 'torch.${typeName}'>, '${key}', 'cpu', ${size})`,
      },
      isShared ? 0 : offset,
      { tuple: shape },
      { tuple: draw.chance(0.2) ? shape.map(() => 0) : rowMajor(shape) },
      false,
      { call: global('collections', 'OrderedDict'), args: [] },
    ],
  };
  return draw.chance(0.2)
    ? {
        call: global('torch._utils', '_rebuild_parameter'),
        args: [tensor, true, { call: global('collections', 'OrderedDict'), args: [] }],
      }
    : tensor;
}

/** Makes an array of numpy, whose values are in the pickle. */
function numpyArray(draw: Draw): Value {
  const shape = smallShape(draw);
  const type = draw.pick(numpyTypes);
  const order = draw.pick(['<', '>', '|', '=']);
  const bytes = noise(draw, count(shape) * Number(type.slice(1)));
  const dtype: Value = {
    call: global('numpy', 'dtype'),
    args: [type, false, true],
    state: { tuple: [3, order, null, null, null, -1, -1, 0] },
  };
  return draw.chance(0.5)
    ? {
        call: global(draw.pick(['numpy.core.multiarray', 'numpy._core.multiarray']), '_reconstruct'),
        args: [global('numpy', 'ndarray'), { tuple: [0] }, Uint8Array.of(98)],
        state: { tuple: [1, { tuple: shape }, dtype, draw.chance(0.3), bytes] },
      }
    : {
        call: global('numpy.core.numeric', '_frombuffer'),
        args: [bytes, dtype, { tuple: shape }, draw.pick(['C', 'F'])],
      };
}

const layers = [
  'conv.weight',
  'conv.bias',
  'bn.running_mean',
  'bn.num_batches_tracked',
  'layer1.0.weight',
  'fc.weight',
];

/** Makes a state dict, as it is or within a checkpoint. */
export function stateDict(draw: Draw, storages: Storages | undefined): Value {
  const prefix = draw.pick(['', '', 'module.', 'model.', '_orig_mod.', 'features.module.']);
  const entries = layers
    .slice(0, draw.between(1, layers.length))
    .map((name) => [prefix + name, storages ? torchTensor(draw, storages) : numpyArray(draw)] as const);
  const dict: Value = draw.chance(0.5)
    ? { dict: entries }
    : {
        call: global('collections', 'OrderedDict'),
        args: [],
        items: entries,
        ...(draw.chance(0.5) ? { state: { dict: [['_metadata', null]] } } : {}),
      };
  // A first tensor with dimensions, so that the dict is not one of counters alone.
  return draw.pick<() => Value>([
    () => dict,
    () => dict,
    () => ({
      dict: [
        ['epoch', 3],
        [draw.pick(['state_dict', 'model', 'net', 'ema']), dict],
        ['best', 0.5],
        ['done', true],
      ],
    }),
    () => ({
      dict: [
        ['state_dict', dict],
        ['optimizer', { dict: [['state', { dict: [[0, { list: [1, 2.5, null] }]] }]] }],
      ],
    }),
    () => ({ tuple: [dict, 7, { set: ['a', 'b'] }] }),
  ])();
}

/** Opcodes of one byte, and some whose operands are empty or short. */
const loose: readonly Uint8Array[] = [
  ...[...'(.012NRQabdelostu)]}'].map((letter) => bytesOf(letter)),
  ...[0x81, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8f, 0x90, 0x91, 0x92, 0x93, 0x94].map((code) => bytesOf(code)),
  ...[
    'g0\n',
    'g1\n',
    'p0\n',
    'h\0',
    'h\x01',
    'q\0',
    'q\xff',
    'I00\n',
    'Fnan\n',
    'Finf\n',
    'F1e999\n',
    "S'\\x41\\n'\n",
    'V\\u0041\\U00010000\n',
    'ios\nsystem\n',
    'Pid\n',
  ].map((text) => bytesOf(text)),
];

const knownTexts = [
  'storage',
  'view',
  'torch',
  'cpu',
  'FloatStorage',
  'UntypedStorage',
  'state_dict',
  'ema',
  'model',
  '_modules',
  'weight',
  '0',
  '65536',
  '__metadata__',
  '',
  '\u0000\u001b[31m',
  'neg',
  '<f4',
  'x'.repeat(2000),
];
const knownGlobals = [
  'torch._utils _rebuild_tensor_v2',
  'torch._utils _rebuild_sparse_tensor',
  'torch._tensor _rebuild_from_type_v2',
  'torch._utils _rebuild_parameter',
  'torch FloatStorage',
  'torch QInt8Storage',
  'collections OrderedDict',
  'collections defaultdict',
  'collections Counter',
  'collections deque',
  'builtins list',
  'builtins dict',
  '__builtin__ set',
  'numpy dtype',
  'numpy.core.multiarray _reconstruct',
  'copy_reg _reconstructor',
  'os system',
  'torch Size',
];

/** Instructions that push one value which is dear to make or to walk through. */
const bombs: readonly ((draw: Draw) => Uint8Array)[] = [
  // Lists or tuples in each other, and one in itself.
  (draw) => {
    const depth = repetitions(draw, 200_000);
    return bytesOf(']'.repeat(depth), 'a'.repeat(depth - 1));
  },
  (draw) => bytesOf(')', new Uint8Array(repetitions(draw, 200_000)).fill(0x85)),
  () => bytesOf(']', 'q', 200, 'h', 200, 'a'),
  () => bytesOf('}', 'q', 200, text('state_dict'), 'h', 200, 's'),
  // A tuple that doubles by each reference to the one before, and copies of a dict.
  (draw) =>
    bytesOf(']', 'q', 200, repeated(bytesOf('h', 200, 'h', 200, 0x86, 'q', 200), repetitions(draw, 50_000))),
  (draw) => {
    const copy = bytesOf('ccollections\nOrderedDict\n', 'h', 201, 0x85, 'R', 'q', 201);
    return bytesOf(
      dictOf(collidingTexts(repetitions(draw, 2000)).map(text)),
      'q',
      201,
      repeated(copy, repetitions(draw, 1000)),
    );
  },
  // Keys whose hashes collide in V8: texts of array indices, whole numbers, floats; and so numbers in the memo.
  (draw) => dictOf(collidingTexts(repetitions(draw, 60_000)).map(text)),
  (draw) =>
    dictOf(Array.from({ length: repetitions(draw, 60_000) }, (_, i) => bytesOf('J', u32(65_536 * i)))),
  (draw) =>
    dictOf(
      Array.from({ length: repetitions(draw, 60_000) }, (_, i) => bytesOf('G', float64(2 ** 53 * (i + 1)))),
    ),
  (draw) =>
    bytesOf(
      'N',
      joined(Array.from({ length: repetitions(draw, 60_000) }, (_, i) => bytesOf('r', u32(65_536 * i)))),
    ),
  (draw) => dictOf(longTexts(repetitions(draw, 200)).map(text)),
  // Many small values.
  (draw) => bytesOf(']', '(', new Uint8Array(repetitions(draw, 3_000_000)).fill(0x4e), 'e'),
  (draw) => bytesOf('(', repeated(bytesOf('K', 1), repetitions(draw, 300_000)), 't'),
  (draw) =>
    bytesOf(
      '(',
      new Uint8Array(repetitions(draw, 500_000)).fill(draw.pick([0x5d, 0x7d, 0x29, 0x28, 0x8f])),
      't',
    ),
  // Long texts and numbers, and lengths beyond the end.
  (draw) => text('a.'.repeat(repetitions(draw, 100_000))),
  (draw) => bytesOf(`S'${'\\x41'.repeat(repetitions(draw, 500_000))}'\n`),
  (draw) =>
    bytesOf('V', draw.pick(['\\u20ac', '\\U0001f600', '\\']).repeat(repetitions(draw, 200_000)), '\n'),
  (draw) => bytesOf(`I${'9'.repeat(repetitions(draw, 100_000))}\n`),
  (draw) => bytesOf(`P('storage', <class '${'a.'.repeat(repetitions(draw, 100_000))}\n`),
  (draw) => bytesOf(0x8a, 255, noise(draw, 255)),
  (draw) => bytesOf(draw.pick([0x8b, 0x58, 0x42, 0x54]), u32(Number(BigInt.asUintN(32, extreme(draw))))),
  (draw) => bytesOf(draw.pick([0x8d, 0x8e, 0x96, 0x95]), u64(Number(BigInt.asUintN(64, extreme(draw))))),
];

const repeated = (part: Uint8Array, count: number): Uint8Array => joined(Array<Uint8Array>(count).fill(part));

/** Pickles a dict of Nones. */
const dictOf = (keys: readonly Uint8Array[]): Uint8Array =>
  bytesOf('}', '(', joined(keys.map((key) => bytesOf(key, 'N'))), 'u');

const isNumber = (op: Uint8Array): boolean =>
  [...'KMJIL'].includes(String.fromCharCode(op[0]!)) || op[0] === 0x8a;
const isText = (op: Uint8Array): boolean =>
  [...'XUVS'].includes(String.fromCharCode(op[0]!)) || op[0] === 0x8c || op[0] === 0x8d;
const isName = (op: Uint8Array): boolean => op[0] === 0x63;

/** Replaces an opcode of one kind. */
const replaced =
  (isKind: (op: Uint8Array) => boolean, by: (draw: Draw) => Uint8Array): Damage<Ops> =>
  (ops, draw) => {
    const places = [...ops.keys()].filter((i) => isKind(ops[i]!));
    if (places.length > 0) ops.splice(draw.pick(places), 1, by(draw));
  };

const numbers = [-1, 0, 1, 2, 3, 7, 255, 65_536, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 53 + 2, 1e18, 2.5, 1e308];

const lengthOf = ({ length }: Uint8Array): number => length;

/** Damages to the opcodes of a pickle. */
export const pickleDamages: readonly Damage<Ops>[] = [
  (ops, draw) => rearrange(ops, draw, lengthOf),
  (ops, draw) => ops.splice(indexOf(ops, draw), draw.between(0, 1), draw.pick(loose)),
  replaced(isNumber, (draw) => numberOp(draw.pick(numbers), 2, draw)),
  replaced(isNumber, (draw) => numberOp(draw.pick(numbers), 2, draw)),
  replaced(isText, (draw) => textOp(draw.pick(knownTexts), 4, draw)),
  replaced(isText, (draw) => draw.pick(bombs)(draw)),
  replaced(isNumber, (draw) => draw.pick(bombs)(draw)),
  replaced(isName, (draw) => bytesOf(`c${draw.pick(knownGlobals).replace(' ', '\n')}\n`)),
  replaced(
    (op) => op[0] === 0x4e,
    (draw) => draw.pick(bombs)(draw),
  ),
  // As the result, and popped at once.
  (ops, draw) => ops.splice(-1, 0, draw.pick(bombs)(draw)),
  (ops, draw) => ops.splice(1, 0, bytesOf(draw.pick(bombs)(draw), '0')),
  // A tuple of numbers: a shape or strides of other extents.
  (ops, draw) => {
    const extents = Array.from({ length: draw.pick([1, 2, 4, 64, 65]) }, () =>
      numberOp(draw.pick([0, 1, 1, 1, 2, 65_536, ...numbers]), 2, draw),
    );
    const places = [...ops.keys()].filter((i) => ops[i]![0] === 0x74 || ops[i]![0] === 0x86);
    if (places.length > 0)
      ops.splice(draw.pick(places) + 1, 0, bytesOf('0'), bytesOf('('), ...extents, bytesOf('t'));
  },
];

/** Pickles that PyTorch did not write, with arrays of numpy. */
export const pickle = format<Ops>({
  name: 'pickle',
  signature: 1,
  make: (draw) => pickled(stateDict(draw, undefined), draw.between(2, 5), draw),
  damages: pickleDamages,
  encode: joined,
  read: readAll,
});

/** Reads weights from bytes. */
export async function readAll(bytes: Uint8Array) {
  return sizeOfWeights(await readWeights(bytes, { onNote: () => undefined }));
}

/** PyTorch's format before 1.6: five pickles, then the storages. */
interface Legacy {
  magic: Uint8Array;
  /** The pickles after the magic number. */
  pickles: Ops[];
  storages: Uint8Array[];
}

const MAGIC = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

export const legacy = format<Legacy>({
  name: 'legacy torch',
  signature: 14,
  make(draw) {
    const protocol = draw.between(0, 5);
    const storages: Storages = {};
    const object = stateDict(draw, storages);
    return {
      magic:
        protocol < 2
          ? bytesOf('L119547037146038801333356L\n.')
          : bytesOf(0x80, protocol, 0x8a, 10, MAGIC, '.'),
      pickles: [1001, { dict: [['little_endian', true]] }, object, { list: Object.keys(storages) }].map(
        (value) => pickled(value as Value, protocol, draw),
      ),
      storages: Object.values(storages).map(({ width, count }) =>
        bytesOf(u64(count), noise(draw, count * width)),
      ),
    };
  },
  damages: [
    ...pickleDamages.map(
      (damage): Damage<Legacy> =>
        ({ pickles }, draw) =>
          damage(pickles[draw.pick([0, 1, 2, 2, 2, 2, 3])] ?? [], draw),
    ),
    ({ pickles }, draw) => rearrange(pickles, draw, () => 1e5),
    ({ storages }, draw) => rearrange(storages, draw, lengthOf),
    ({ storages }, draw) =>
      change(storages, draw, (storage) =>
        bytesOf(u64(Number(BigInt.asUintN(64, extreme(draw)))), storage.subarray(8)),
      ),
    (model, draw) => {
      model.storages.push(noise(draw, draw.between(1, 40)), bytesOf(u16(3)));
    },
  ],
  encode: ({ magic, pickles, storages }) => joined([magic, ...pickles.map(joined), ...storages]),
  read: readAll,
});
