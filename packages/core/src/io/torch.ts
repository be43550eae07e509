/**
 * PyTorch's two file formats: zip files, which torch.save writes since version 1.6, and the legacy format
 * before: five pickles in a row, then the storages.
 */
import { FileFormatError } from '../errors.js';
import { type Shape, sizeOf } from '../tensor/shape.js';
import type { Tensor, Weights } from '../tensor/tensor.js';
import { aligned, bytesPerValue, gatherFloat32, toFloat32 } from './dtype.js';
import { isCount, type Limits, requireElements, withinLimit } from './limits.js';
import { unpickle } from './pickle.js';
import { describe } from './pickleValue.js';
import { quote } from './quote.js';
import { storageOf, type TensorReference, tensorReferences } from './stateDict.js';
import { textDecoder } from './text.js';
import { entryBytes, readZip, type ZipEntry } from './zip.js';

/** Options of the readers of weight files. */
export interface ReadOptions {
  readonly limits: Limits;
  /** True if the reader may overwrite the bytes, to move values to addresses that are multiples of 4. */
  readonly owned: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** PyTorch's magic number 0x1950a86a20f9469cfc6c, as pickle protocols 2 and up write it (LONG1, 10 bytes). */
const magicBytes = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const magicNumber = Number(0x1950a86a20f9469cfc6cn);

/**
 * True if the bytes start like the legacy format: PROTO (2 bytes), then the magic number; from protocol 4 on
 * a FRAME (9 bytes) may precede it.
 */
export const looksLikeLegacyTorch = (bytes: Uint8Array): boolean =>
  bytes[0] === 0x80 && [2, 11].some((start) => magicBytes.every((byte, i) => bytes[start + i] === byte));

/** True if the bytes start like a zip file: a local header, or the end record of an empty archive. */
export const looksLikeZip = (bytes: Uint8Array): boolean =>
  bytes[0] === 0x50 && bytes[1] === 0x4b && ((bytes[2] === 3 && bytes[3] === 4) || bytes[2] === 5);

/**
 * Reads the format since PyTorch 1.6: a zip file of `<name>/data.pkl`, which pickles the object saved, one
 * file `<name>/data/<key>` for each storage, and in recent versions `<name>/byteorder` (default: little).
 * @throws FileFormatError for anything else, and over a limit.
 */
export async function readTorchZip(
  bytes: Uint8Array,
  { limits, owned, signal }: ReadOptions,
): Promise<Weights> {
  const format = 'torch zip';
  const entries = readZip(bytes, limits);
  const pickle = pickleEntry(format, entries);
  withinLimit(format, limits, 'maxHeaderBytes', pickle.bytes, pickle.start);
  const folder = pickle.name.slice(0, -'data.pkl'.length);
  const littleEndian = await isLittleEndian(format, bytes, entries.get(`${folder}byteorder`));
  const { value } = unpickle(await entryBytes(bytes, pickle, signal), 0, limits);
  const references = tensorReferences(format, value);
  const needed = new Map<string, ZipEntry>();
  for (const [name, { storage }] of references) {
    const entry = entries.get(`${folder}data/${storage}`);
    if (!entry)
      throw new FileFormatError(
        format,
        `the storage ${quote(`data/${storage}`)} of the tensor ${quote(name)} is missing`,
      );
    needed.set(storage, entry);
  }
  const total = [...needed.values()].reduce((sum, entry) => sum + entry.bytes, 0);
  requireTensors(format, limits, references, total);
  const storages = new Map<string, Uint8Array>();
  // Moving the bytes of an entry down overwrites up to 3 bytes of its name, which is not read again.
  for (const [key, entry] of needed)
    storages.set(key, aligned(await entryBytes(bytes, entry, signal), owned && entry.method === 0));
  return tensorsOf(format, references, storages, littleEndian, signal);
}

/** Finds the archive's data.pkl; the error says what the archive holds instead. */
function pickleEntry(format: string, entries: ReadonlyMap<string, ZipEntry>): ZipEntry {
  const names = [...entries.keys()];
  const name = names.find((candidate) => /(^|\/)data\.pkl$/.test(candidate));
  if (name === undefined)
    throw new FileFormatError(
      format,
      `it holds no data.pkl but ${names.slice(0, 5).map(describe).join(', ') || 'nothing'}. If it is an archive of weight files, unpack it first.`,
    );
  if (names.some((candidate) => /(^|\/)constants\.pkl$/.test(candidate)))
    throw new FileFormatError(
      format,
      'it is a TorchScript program, not weights. Save the weights with torch.save(model.state_dict(), file).',
    );
  return entries.get(name)!;
}

async function isLittleEndian(format: string, bytes: Uint8Array, entry?: ZipEntry): Promise<boolean> {
  if (!entry) return true;
  if (entry.bytes > 16) throw new FileFormatError(format, 'its byteorder is longer than a word', entry.start);
  const order = textDecoder()
    .decode(await entryBytes(bytes, entry))
    .trim();
  if (order !== 'little' && order !== 'big')
    throw new FileFormatError(
      format,
      `its byteorder is ${quote(order)}; little and big are supported`,
      entry.start,
    );
  return order === 'little';
}

/**
 * Reads the format before PyTorch 1.6: five pickles (magic number, protocol version 1001, system info, the
 * object saved, the list of storage keys), then each storage as a 64-bit count of values and the values. They
 * are little-endian whatever machine wrote them; the system info's `little_endian` does not apply to them.
 * @throws FileFormatError for anything else, and over a limit.
 */
export function readLegacyTorch(bytes: Uint8Array, { limits, owned, signal }: ReadOptions): Weights {
  const format = 'legacy torch';
  const magic = unpickle(bytes, 0, limits);
  if (magic.value !== magicNumber) throw new FileFormatError(format, 'its magic number is damaged', 0);
  const protocol = unpickle(bytes, magic.end, limits);
  if (protocol.value !== 1001)
    throw new FileFormatError(
      format,
      `its protocol is ${describe(protocol.value)}; 1001 is supported`,
      magic.end,
    );
  const system = unpickle(bytes, protocol.end, limits);
  const object = unpickle(bytes, system.end, limits);
  const keys = unpickle(bytes, object.end, limits);
  if (!Array.isArray(keys.value))
    throw new FileFormatError(format, 'the list of its storages is missing', object.end);
  const references = tensorReferences(format, object.value);
  requireTensors(format, limits, references, bytes.length - keys.end);
  const widths = new Map<string, number>();
  for (const reference of object.references) {
    const storage = storageOf(format, reference);
    if (!storage) continue;
    const width = storage.dtype ? bytesPerValue(storage.dtype) : 1;
    if ((widths.get(storage.key) ?? width) !== width)
      throw new FileFormatError(format, `the storage ${quote(storage.key)} has two element types`);
    widths.set(storage.key, width);
  }
  const storages = new Map<string, Uint8Array>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = keys.end;
  for (const item of keys.value) {
    const key = typeof item === 'number' ? String(item) : item;
    const width = typeof key === 'string' ? widths.get(key) : undefined;
    if (typeof key !== 'string' || width === undefined)
      throw new FileFormatError(
        format,
        `the type of its storage ${describe(item)} is unknown, since no tensor refers to it`,
        at,
      );
    if (storages.has(key)) throw new FileFormatError(format, `the storage ${quote(key)} occurs twice`, at);
    if (at + 8 > bytes.length) throw new FileFormatError(format, `it ends before storage ${quote(key)}`, at);
    const count = Number(view.getBigInt64(at, true));
    at += 8;
    if (!isCount(count) || at + count * width > bytes.length)
      throw new FileFormatError(
        format,
        `storage ${quote(key)} of ${count} values goes beyond the end of the file`,
        at,
      );
    // Moving the values down overwrites up to 3 bytes of the count, which has been read.
    storages.set(key, aligned(bytes.subarray(at, at + count * width), owned));
    at += count * width;
  }
  return tensorsOf(format, references, storages, true, signal);
}

function requireTensors(
  format: string,
  limits: Limits,
  references: ReadonlyMap<string, TensorReference>,
  bytes: number,
): void {
  withinLimit(format, limits, 'maxTensors', references.size);
  let elements = 0;
  for (const { shape } of references.values()) elements += countOf(shape);
  requireElements(format, limits, elements, bytes);
}

/** Number of values. 0 if any extent is 0: the product of the others may be Infinity. */
const countOf = (shape: Shape): number => (shape.includes(0) ? 0 : sizeOf(shape));

/** Makes the tensors, in order: views of their storages for aligned, contiguous float32, else copies. */
function tensorsOf(
  format: string,
  references: ReadonlyMap<string, TensorReference>,
  storages: ReadonlyMap<string, Uint8Array>,
  littleEndian: boolean,
  signal: AbortSignal | undefined,
): Weights {
  const weights: Weights = new Map();
  for (const [name, reference] of references) {
    signal?.throwIfAborted();
    const bytes = storages.get(reference.storage);
    if (!bytes)
      throw new FileFormatError(
        format,
        `the storage ${quote(reference.storage)} of ${quote(name)} is missing`,
      );
    weights.set(name, tensorOf(format, name, reference, bytes, littleEndian));
  }
  return weights;
}

function tensorOf(
  format: string,
  name: string,
  { shape, strides, offset, dtype }: TensorReference,
  storage: Uint8Array,
  littleEndian: boolean,
): Tensor {
  if (countOf(shape) === 0) return { shape, data: new Float32Array(0) };
  const width = bytesPerValue(dtype);
  const reach = 1 + shape.reduce((sum, extent, axis) => sum + (extent - 1) * strides[axis]!, 0);
  const end = (offset + reach) * width;
  if (!(end <= storage.length))
    throw new FileFormatError(
      format,
      `the tensor ${quote(name)} reaches to byte ${end} of a storage of ${storage.length}`,
    );
  const bytes = storage.subarray(offset * width, end);
  const data = isContiguous(shape, strides)
    ? toFloat32(bytes, dtype, littleEndian)
    : gatherFloat32(bytes, dtype, shape, strides, littleEndian);
  return { shape, data };
}

function isContiguous(shape: Shape, strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}
