/** PyTorch's two file formats: zip files since 1.6, and the older row of pickles with the storages after it. */
import { FileFormatError } from '../errors.js';
import { type Shape, sizeOf } from '../tensor/shape.js';
import type { Tensor, Weights } from '../tensor/tensor.js';
import { type DType, dtypeBytes, toFloat32 } from './dtype.js';
import { type Limits, withinLimit } from './limits.js';
import { isTag, type Pickled, unpickle } from './pickle.js';
import { entryBytes, readZip } from './zip.js';

const storageTypes: Readonly<Record<string, DType>> = {
  DoubleStorage: 'F64',
  FloatStorage: 'F32',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
};

/** The first bytes of the older format: a pickle of PyTorch's magic number. */
const legacyMagic = [
  0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e,
];

/** Whether the bytes start as a file of the older format does. */
export const looksLikeLegacyTorch = (bytes: Uint8Array): boolean =>
  legacyMagic.every((byte, i) => bytes[i] === byte);

/** Whether the bytes start as a zip file does. */
export const looksLikeZip = (bytes: Uint8Array): boolean =>
  bytes[0] === 0x50 && bytes[1] === 0x4b && (bytes[2] === 3 || bytes[2] === 5);

/** A tensor as the pickle describes it. */
interface TensorReference {
  readonly key: string;
  readonly dtype: DType;
  readonly offset: number;
  readonly shape: Shape;
  readonly strides: readonly number[];
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isCounts = (value: unknown): value is readonly number[] => Array.isArray(value) && value.every(isCount);

/** What a pickled value says about a tensor, undefined when it is not one. */
function referenceOf(format: string, value: Pickled | undefined): TensorReference | undefined {
  if (!isTag(value, 'reduced')) return undefined;
  if (/_rebuild_parameter/.test(value.callee)) return referenceOf(format, value.args[0]);
  if (!/_rebuild_tensor/.test(value.callee)) return undefined;
  const [storage, offset, shape, strides] = value.args;
  const id = isTag(storage, 'persistent') ? storage.id : undefined;
  if (!Array.isArray(id) || id[0] !== 'storage' || !isTag(id[1], 'global'))
    throw new FileFormatError(format, 'a tensor has no storage');
  const type = id[1].name.slice(id[1].name.lastIndexOf('.') + 1);
  const dtype = storageTypes[type];
  if (!dtype) throw new FileFormatError(format, `a tensor is a ${type}, which is not read`);
  if (!isCount(offset) || !isCounts(shape) || !isCounts(strides) || shape.length !== strides.length)
    throw new FileFormatError(format, 'a tensor has no proper offset, shape and strides');
  return { key: String(id[2]), dtype, offset, shape, strides };
}

/** Names under which training scripts keep the weights, beside optimizer state and the like. */
const nests = [
  'state_dict',
  'model_state_dict',
  'model',
  'net',
  'params',
  'weights',
  'module',
  'state_dict_ema',
];

/** The dict of tensors: one under a usual name (its neighbours are accuracies and counters), or the value itself. */
function stateDictOf(format: string, value: Pickled, depth = 0): ReadonlyMap<Pickled, Pickled> {
  if (!(value instanceof Map))
    throw new FileFormatError(
      format,
      'it holds no dict of tensors. Save the weights with torch.save(model.state_dict(), file).',
    );
  for (const name of nests) {
    const nested = value.get(name);
    if (nested instanceof Map && depth < 3) return stateDictOf(format, nested, depth + 1);
  }
  for (const entry of value.values()) if (referenceOf(format, entry)) return value;
  if (value.size === 0) return value;
  throw new FileFormatError(
    format,
    `it holds no tensors at its top or under ${nests.join(', ')}; its keys are ${[...value.keys()].slice(0, 10).map(String).join(', ')}`,
  );
}

/** The tensors of a state dict, once their storages can be had by key. */
function tensorsOf(
  format: string,
  stateDict: ReadonlyMap<Pickled, Pickled>,
  storageOf: (reference: TensorReference) => Uint8Array,
  littleEndian: boolean,
  limits: Limits,
): Weights {
  const references = [...stateDict].flatMap(([name, value]) => {
    const reference = referenceOf(format, value);
    return reference ? [[String(name), reference] as const] : [];
  });
  withinLimit(format, limits, 'maxTensors', references.length);
  withinLimit(
    format,
    limits,
    'maxElements',
    references.reduce((sum, [, { shape }]) => sum + sizeOf(shape), 0),
  );
  return new Map(
    references.map(([name, reference]): [string, Tensor] => {
      const { shape, strides, offset, dtype } = reference;
      const bytes = storageOf(reference);
      const width = dtypeBytes[dtype];
      const count = sizeOf(shape);
      const reach =
        count === 0 ? 0 : 1 + shape.reduce((sum, extent, axis) => sum + (extent - 1) * strides[axis]!, 0);
      if ((offset + reach) * width > bytes.length)
        throw new FileFormatError(
          format,
          `'${name}' reaches to byte ${(offset + reach) * width} of a storage of ${bytes.length}`,
        );
      const values = toFloat32(bytes.subarray(offset * width, (offset + reach) * width), dtype, littleEndian);
      return [name, { shape, data: isContiguous(shape, strides) ? values : gather(values, shape, strides) }];
    }),
  );
}

function isContiguous(shape: Shape, strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}

/** The values of a strided tensor in row-major order. */
function gather(values: Float32Array, shape: Shape, strides: readonly number[]): Float32Array {
  const result = new Float32Array(sizeOf(shape));
  const index = shape.map(() => 0);
  let at = 0;
  for (let i = 0; i < result.length; i++) {
    result[i] = values[at]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      at -= index[axis]! * strides[axis]!;
      index[axis] = 0;
    }
  }
  return result;
}

/** Reads a zip file of PyTorch 1.6 and later. @throws FileFormatError for anything else. */
export async function readTorchZip(bytes: Uint8Array, limits: Limits): Promise<Weights> {
  const format = 'torch zip';
  const entries = readZip(bytes, limits);
  const pickle = [...entries.values()].find(({ name }) => /(^|\/)data\.pkl$/.test(name));
  if (!pickle) {
    const listed = [...entries.keys()].slice(0, 5).join(', ');
    throw new FileFormatError(
      format,
      `it holds no data.pkl but ${listed || 'nothing'}; a TorchScript or other zip file is not read`,
    );
  }
  withinLimit(format, limits, 'maxHeaderBytes', pickle.bytes, pickle.start);
  const folder = pickle.name.slice(0, -'data.pkl'.length);
  const order = entries.get(`${folder}byteorder`);
  const littleEndian = !order || new TextDecoder().decode(await entryBytes(bytes, order)) !== 'big';
  const stateDict = stateDictOf(format, unpickle(await entryBytes(bytes, pickle)).value);
  const storages = new Map<string, Uint8Array>();
  for (const value of stateDict.values()) {
    const reference = referenceOf(format, value);
    if (!reference || storages.has(reference.key)) continue;
    const entry = entries.get(`${folder}data/${reference.key}`);
    if (!entry) throw new FileFormatError(format, `the storage 'data/${reference.key}' is missing`);
    storages.set(reference.key, await entryBytes(bytes, entry));
  }
  return tensorsOf(format, stateDict, ({ key }) => storages.get(key)!, littleEndian, limits);
}

/** Reads the format before PyTorch 1.6. @throws FileFormatError for anything else. */
export function readLegacyTorch(bytes: Uint8Array, limits: Limits): Weights {
  const format = 'legacy torch';
  const { end: afterMagic } = unpickle(bytes);
  const protocol = unpickle(bytes, afterMagic);
  if (protocol.value !== 1001)
    throw new FileFormatError(format, `its protocol is ${String(protocol.value)}; 1001 is read`, afterMagic);
  const system = unpickle(bytes, protocol.end);
  const littleEndian = !(system.value instanceof Map && system.value.get('little_endian') === false);
  const object = unpickle(bytes, system.end);
  withinLimit(format, limits, 'maxHeaderBytes', object.end);
  const keys = unpickle(bytes, object.end);
  if (!Array.isArray(keys.value))
    throw new FileFormatError(format, 'the list of its storages is missing', object.end);
  withinLimit(format, limits, 'maxTensors', keys.value.length, object.end);
  const stateDict = stateDictOf(format, object.value);
  const widths = storageWidths(object.value);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const storages = new Map<string, Uint8Array>();
  let at = keys.end;
  for (const key of keys.value.map(String)) {
    if (at + 8 > bytes.length) throw new FileFormatError(format, `it ends before storage '${key}'`, at);
    const count = Number(view.getBigInt64(at, littleEndian));
    const width = widths.get(key);
    if (width === undefined)
      throw new FileFormatError(format, `nothing says what storage '${key}' holds`, at);
    at += 8;
    if (!isCount(count) || at + count * width > bytes.length)
      throw new FileFormatError(
        format,
        `storage '${key}' of ${count} values goes beyond the end of the file`,
        at,
      );
    storages.set(key, bytes.subarray(at, at + count * width));
    at += count * width;
  }
  const storageOf = ({ key }: TensorReference): Uint8Array => {
    const storage = storages.get(key);
    if (!storage) throw new FileFormatError(format, `the storage '${key}' is missing`);
    return storage;
  };
  return tensorsOf(format, stateDict, storageOf, littleEndian, limits);
}

/** Bytes per value of every storage that a pickle mentions, optimizer state included; a walk without recursion. */
function storageWidths(value: Pickled): ReadonlyMap<string, number> {
  const widths = new Map<string, number>();
  const seen = new Set<object>();
  const rest: Pickled[] = [value];
  while (rest.length > 0) {
    const next = rest.pop();
    if (typeof next !== 'object' || next === null || next instanceof Uint8Array || seen.has(next)) continue;
    seen.add(next);
    if (next instanceof Map) for (const item of next.values()) rest.push(item);
    else if (Array.isArray(next)) for (const item of next as readonly Pickled[]) rest.push(item);
    else if (isTag(next, 'reduced')) rest.push(...next.args);
    else if (isTag(next, 'persistent') && Array.isArray(next.id) && isTag(next.id[1], 'global')) {
      const type = next.id[1].name.slice(next.id[1].name.lastIndexOf('.') + 1);
      const dtype = storageTypes[type];
      if (dtype) widths.set(String(next.id[2]), dtypeBytes[dtype]);
    }
  }
  return widths;
}
