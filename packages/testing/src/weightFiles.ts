/** Writes small weight files, valid and invalid: pickles, PyTorch's two formats, zip, safetensors. */
import type { Weights } from '@cnn/core';

export type Part = string | number | Uint8Array | readonly number[];

/** Concatenates strings (one byte per character), numbers (one byte each) and byte arrays. */
export function bytesOf(...parts: readonly Part[]): Uint8Array<ArrayBuffer> {
  let length = 0;
  for (const part of parts) length += typeof part === 'number' ? 1 : part.length;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    if (typeof part === 'number') bytes[at++] = part;
    else if (typeof part === 'string') for (let i = 0; i < part.length; i++) bytes[at++] = part.charCodeAt(i);
    else {
      bytes.set(part, at);
      at += part.length;
    }
  }
  return bytes;
}

/** Encodes an unsigned little-endian integer of `width` bytes. */
const unsigned =
  (width: number) =>
  (value: number): number[] => {
    const bytes: number[] = [];
    for (let i = 0; i < width; i++) bytes.push(Math.floor(value / 2 ** (8 * i)) % 256);
    return bytes;
  };
export const u16 = unsigned(2);
export const u32 = unsigned(4);
export const u64 = unsigned(8);

/** A Python value to pickle; byte arrays are pickle instructions, copied unchanged. */
export type Python =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Python[]
  | { readonly [key: string]: Python };

export const text = (value: string): Uint8Array => {
  const bytes = new TextEncoder().encode(value);
  return bytesOf('X', u32(bytes.length), bytes);
};
const body = (value: Python): Uint8Array => {
  if (value instanceof Uint8Array) return value;
  if (value === null) return bytesOf('N');
  if (typeof value === 'boolean') return bytesOf(value ? 0x88 : 0x89);
  if (typeof value === 'number') return bytesOf('J', u32(value));
  if (typeof value === 'string') return text(value);
  if (Array.isArray(value)) return bytesOf(']', '(', ...value.map(body), 'e');
  return dict(Object.entries(value));
};

/** Pickles `{key: value, ...}` with keys of any type. */
export const dict = (entries: readonly (readonly [Python, Python])[]): Uint8Array =>
  bytesOf('}', '(', ...entries.flat().map(body), 'u');
export const tuple = (...items: readonly Python[]): Uint8Array => bytesOf('(', ...items.map(body), 't');
export const name = (module: string, what: string): Uint8Array => bytesOf('c', `${module}\n${what}\n`);
export const call = (callee: Uint8Array, ...args: readonly Python[]): Uint8Array =>
  bytesOf(callee, tuple(...args), 'R');

/** Pickles a value in protocol 2. */
export const pickle = (value: Python): Uint8Array => bytesOf(0x80, 2, body(value), '.');

/** Options of a pickled tensor; the defaults are those of `torch.save`. */
export interface TensorOptions {
  readonly key?: Python;
  readonly type?: string;
  readonly offset?: number;
  readonly shape?: readonly number[];
  readonly strides?: readonly number[];
  /** Offset of a storage that is a view of another. */
  readonly view?: number;
}

export const rowMajor = (shape: readonly number[]): number[] =>
  shape.map((_, axis) => shape.slice(axis + 1).reduce((product, extent) => product * extent, 1));

/** Pickles an integer of any size. */
const integer = (value: number): Uint8Array =>
  value < 2 ** 31 ? bytesOf('J', u32(value)) : bytesOf(0x8a, 8, u64(value));

export const storage = ({ key = '0', type = 'FloatStorage', view }: TensorOptions = {}): Uint8Array =>
  bytesOf(
    tuple(
      'storage',
      name('torch', type),
      key,
      'cpu',
      6,
      ...(view === undefined ? [] : [tuple('view', view, 2)]),
    ),
    'Q',
  );

/** `_rebuild_tensor_v2(storage, offset, shape, strides, False, OrderedDict())`, by default of six values. */
export function pickledTensor(options: TensorOptions = {}): Uint8Array {
  const { shape = [2, 3], strides = rowMajor(shape), offset = 0 } = options;
  return call(
    name('torch._utils', '_rebuild_tensor_v2'),
    storage(options),
    integer(offset),
    tuple(...shape.map(integer)),
    tuple(...strides.map(integer)),
    false,
    call(name('collections', 'OrderedDict')),
  );
}

/** Encodes values as float32. */
export const floats = (...values: readonly number[]): Uint8Array =>
  new Uint8Array(Float32Array.from(values).buffer);
export const six = floats(1, 2, 3, 4, 5, 6);

/** Storages by key; `width` is the number of bytes per value, by default 4. */
export type Storages = Readonly<Record<string, { readonly bytes: Uint8Array; readonly width?: number }>>;
export const sixStorage: Storages = { '0': { bytes: six } };

export const legacyMagic = bytesOf(
  [0x80, 2, 0x8a, 0x0a],
  [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19],
  '.',
);

/** Writes a file in PyTorch's older format. */
export const legacyFile = (
  object: Uint8Array,
  storages: Storages = sixStorage,
  littleEndian = true,
): Uint8Array =>
  bytesOf(
    legacyMagic,
    pickle(1001),
    pickle({ protocol_version: 1001, little_endian: littleEndian }),
    object,
    pickle(Object.keys(storages)),
    ...Object.values(storages).flatMap(({ bytes, width = 4 }) => [u64(bytes.length / width), bytes]),
  );

/** One file for `zipFile`; omitted fields get correct values. */
export interface Entry {
  readonly bytes: Uint8Array;
  readonly method?: number;
  /** Uncompressed size that the directory claims. */
  readonly claims?: number;
  /** True to store the sizes as 64 bits in an extra field. */
  readonly zip64?: boolean;
  /** Offset of the entry that the directory claims. */
  readonly at?: number;
}

/** Writes a zip file of entries by name. */
export function zipFile(entries: Readonly<Record<string, Uint8Array | Entry>>): Uint8Array {
  const files: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const [path, given] of Object.entries(entries)) {
    const entry: Entry = given instanceof Uint8Array ? { bytes: given } : given;
    const { bytes, method = 0, claims = bytes.length, zip64 = false } = entry;
    const extra = zip64 ? bytesOf(u16(1), u16(24), u64(claims), u64(bytes.length), u64(entry.at ?? at)) : [];
    const sizes = zip64 ? bytesOf(u32(0xffffffff), u32(0xffffffff)) : bytesOf(u32(bytes.length), u32(claims));
    const common = bytesOf(u16(0), u16(method), u32(0), u32(0), sizes, u16(path.length));
    const file = bytesOf('PK', 3, 4, u16(20), common, u16(0), path, bytes);
    files.push(file);
    directory.push(
      bytesOf(
        ['P'.charCodeAt(0), 'K'.charCodeAt(0), 1, 2],
        u16(20),
        u16(20),
        common,
        u16(extra.length),
        u16(0),
        u16(0),
        u16(0),
        u32(0),
        u32(zip64 ? 0xffffffff : (entry.at ?? at)),
        path,
        extra,
      ),
    );
    at += file.length;
  }
  const count = u16(Object.keys(entries).length);
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  return bytesOf(...files, ...directory, 'PK', 5, 6, u32(0), count, count, u32(size), u32(at), u16(0));
}

/** Writes a file in PyTorch's current (zip) format. */
export const torchZip = (
  object: Uint8Array,
  storages: Storages = sixStorage,
  byteorder?: string,
): Uint8Array =>
  zipFile({
    'archive/data.pkl': object,
    ...(byteorder === undefined ? {} : { 'archive/byteorder': bytesOf(byteorder) }),
    ...Object.fromEntries(Object.entries(storages).map(([key, { bytes }]) => [`archive/data/${key}`, bytes])),
    'archive/version': bytesOf('3\n'),
  });

/** Writes a safetensors file with any header. */
export function safetensorsFile(header: unknown, values: Uint8Array = new Uint8Array(0)): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  return bytesOf(u64(json.length), json, values);
}

/** Converts weights to plain data that tests can compare. */
export const plain = (weights: Weights): Record<string, [shape: readonly number[], values: number[]]> =>
  Object.fromEntries([...weights].map(([key, { shape, data }]) => [key, [shape, [...data]]]));
