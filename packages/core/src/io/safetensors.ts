/** The safetensors format: header length (8 bytes), JSON header with each tensor's offsets, values. */
import { FileFormatError, ShapeError } from '../errors.js';
import { excerpt } from '../printable.js';
import { describeValue, floatsOf } from '../realms.js';
import { type Shape, sizeOf } from '../tensor/shape.js';
import type { Weights } from '../tensor/tensor.js';
import { stridesOf } from './arrays.js';
import { converter, countOf } from './convert.js';
import { aligned, bytesPerValue, type DType, isDType, littleEndianBytes, toFloat32 } from './dtype.js';
import { type FileBytes, onDisk } from './fileBytes.js';
import { type JsonHeader, parseHeader } from './jsonHeader.js';
import { isCount, isShape, type Limits, requireElements, resolveLimits, withinLimit } from './limits.js';
import { chosenBy, type Listing, type ReadOptions } from './listing.js';
import { quote } from './quote.js';
import { textDecoder, utf8Bytes } from './text.js';

const format = 'safetensors';

/** A safetensors file: its tensors and its metadata. */
export interface Safetensors {
  readonly weights: Weights;
  /** The header's `__metadata__`: strings by name, empty if there is none. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** A tensor in the header. */
export interface Entry {
  readonly name: string;
  /** Name of its type; supported if `isDType` says so. */
  readonly dtype: string;
  readonly shape: Shape;
  /** Offset of its first byte from the end of the header. */
  readonly begin: number;
  /** Offset after its last byte from the end of the header. */
  readonly end: number;
}

/** True if the bytes can be a safetensors file: a header length below 2^48, then the `{` of a JSON object. */
export const looksLikeSafetensors = (bytes: Uint8Array): boolean =>
  bytes.length >= 9 && bytes[8] === 0x7b && bytes[6] === 0 && bytes[7] === 0;

/**
 * Reads the bytes of a safetensors file, metadata included. Names keep the order of the file.
 * @param bytes - the whole file. Float32 tensors are views of it where they lie at a multiple of 4 bytes;
 * others, and other types, are converted to float32 in new arrays.
 * @param limits - bounds on the header and the tensors; defaults as for `readWeights`.
 * @throws FileFormatError for a wrong header or offset, values that overlap or leave gaps, or over a limit.
 * @example
 * readSafetensors(writeSafetensors(weights, { epoch: '3' })).metadata.epoch // '3'
 */
export function readSafetensors(bytes: Uint8Array, limits?: Partial<Limits>): Safetensors {
  const bounds = resolveLimits(limits);
  const { entries, start, metadata } = layoutOf(bytes, bytes.length, bounds);
  requireEntries(new Map(entries.map((entry) => [entry.name, entry])), bytes.length, bounds);
  const weights: Weights = new Map(
    entries.map((entry) => [
      entry.name,
      {
        shape: entry.shape,
        data: toFloat32(bytes.subarray(start + entry.begin, start + entry.end), dtypeOf(entry)),
      },
    ]),
  );
  return { weights, metadata };
}

/** Lists the tensors of a file. */
export async function listSafetensors(
  file: FileBytes,
  { limits, owned, from, signal }: ReadOptions,
): Promise<Listing<Entry>> {
  const { entries, start } = layoutOf(await headerBytes(file, limits), file.length, limits);
  const all = new Map(entries.map((entry) => [entry.name, entry]));
  return {
    tensors: chosenBy(format, all, from),
    isScalar: ({ shape }) => shape.length === 0,
    async read(chosen) {
      requireEntries(chosen, file.length, limits);
      const { lazy } = file;
      if (lazy)
        return new Map(
          [...chosen].map(([name, entry]) => [name, lazy(start + entry.begin, dtypeOf(entry), entry.shape)]),
        );
      // Moving the values down to a multiple of 4 overwrites up to 3 bytes of the header, which has been read.
      const data = aligned(await file.read(start, file.length - start), owned);
      const convert = converter(format, signal);
      const weights: Weights = new Map();
      for (const [name, entry] of chosen) {
        const { shape, begin, end } = entry;
        const array = { dtype: dtypeOf(entry), offset: 0, shape, strides: stridesOf(shape), negated: false };
        weights.set(name, await convert.tensor(name, array, data.subarray(begin, end), true));
      }
      return weights;
    },
  };
}

/** Checks the number of chosen tensors and of their values. @param size - of the file, in bytes. */
function requireEntries(chosen: ReadonlyMap<string, Entry>, size: number, limits: Limits): void {
  const elements = [...chosen.values()].reduce((sum, { shape }) => sum + countOf(shape), 0);
  requireElements(format, limits, elements, size);
}

/** Gives the type of an entry. @throws FileFormatError for an unsupported one. */
function dtypeOf({ name, dtype }: Entry): DType {
  if (isDType(dtype)) return dtype;
  throw new FileFormatError(
    format,
    `the entry ${quote(name)} has the type ${quote(dtype)}, which is not supported. Save it as float32, or leave it out with the 'rename' option.`,
  );
}

/**
 * Reads and checks the header of a file.
 * @param bytes - the start of the file, up to the end of its header at least.
 * @param length - size of the whole file in bytes.
 * @returns the tensors, the offset of the values in the file (`start`, bytes), and the metadata.
 */
function layoutOf(
  bytes: Uint8Array,
  length: number,
  limits: Limits,
): {
  readonly entries: readonly Entry[];
  readonly start: number;
  readonly metadata: Readonly<Record<string, string>>;
} {
  const { names, entries: header, headerLength } = headerOf(bytes, limits);
  const tensors = names.filter((name) => name !== '__metadata__');
  withinLimit(format, limits, 'maxTensors', tensors.length, 8);
  const entries = tensors.map((name) => entryOf(name, header[name]));
  const size = length - 8 - headerLength;
  requireCovered(entries, size);
  return { entries, start: 8 + headerLength, metadata: metadataOf(header.__metadata__) };
}

/** Parses the header of a file, and gives its length in bytes. */
function headerOf(bytes: Uint8Array, limits: Limits): JsonHeader & { readonly headerLength: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 8) throw new FileFormatError(format, 'it ends before its header length', bytes.length);
  const headerLength = Number(view.getBigUint64(0, true));
  withinLimit(format, limits, 'maxHeaderBytes', headerLength, 0);
  if (8 + headerLength > bytes.length)
    throw new FileFormatError(
      format,
      `its header of ${headerLength} bytes goes beyond its end`,
      bytes.length,
    );
  return { ...parseHeader(format, decode(bytes.subarray(8, 8 + headerLength)), 8, limits), headerLength };
}

/**
 * Reads the `__metadata__` of a safetensors file on disk: strings by name, empty if there is none. Only the
 * header is read, however large the file is. Node only.
 * @param path - path of the file.
 * @param limits - bounds on the header; defaults as for `readWeights`.
 * @throws FileFormatError if the header is wrong or over a limit.
 * @throws Error for a file that cannot be read.
 */
export async function readSafetensorsMetadata(
  path: string,
  limits?: Partial<Limits>,
): Promise<Readonly<Record<string, string>>> {
  const bounds = resolveLimits(limits);
  const header = await headerBytes(await onDisk(path, {}), bounds);
  return metadataOf(headerOf(header, bounds).entries.__metadata__);
}

/** Reads the bytes of a file up to the end of its header, or of the file. */
async function headerBytes(file: FileBytes, limits: Limits): Promise<Uint8Array> {
  if (file.length < 8) throw new FileFormatError(format, 'it ends before its header length', file.length);
  const { buffer, byteOffset } = await file.read(0, 8);
  const headerLength = Number(new DataView(buffer, byteOffset).getBigUint64(0, true));
  withinLimit(format, limits, 'maxHeaderBytes', headerLength, 0);
  return file.read(0, Math.min(8 + headerLength, file.length));
}

function decode(bytes: Uint8Array): string {
  const decoder = textDecoder({ fatal: true });
  try {
    return decoder.decode(bytes);
  } catch {
    throw new FileFormatError(format, 'its header is not UTF-8', 8);
  }
}

function entryOf(name: string, value: unknown): Entry {
  const fail = (reason: string): never => {
    throw new FileFormatError(format, `the entry ${quote(name)} ${reason}`);
  };
  if (typeof value !== 'object' || value === null) return fail('is not an object');
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  if (typeof dtype !== 'string') return fail('has no type');
  if (!isShape(shape)) return fail('has no shape of whole numbers');
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    return fail('has no pair of data_offsets');
  const [begin, end] = offsets as [number, number];
  if (end < begin) return fail(`ends at ${end}, before it begins at ${begin}`);
  const needed = isDType(dtype) ? sizeOf(shape) * bytesPerValue(dtype) : end - begin;
  if (end - begin !== needed)
    return fail(
      Number.isSafeInteger(needed)
        ? `needs ${needed} bytes for its shape, but its offsets span ${end - begin}`
        : `has the shape [${excerpt(shape.join(', '))}] of more than 2^53 bytes, but its offsets span ${end - begin}`,
    );
  return { name, dtype, shape, begin, end };
}

/** Requires that the tensors' values fill the file without gaps or overlaps, as the format demands. */
function requireCovered(entries: readonly Entry[], size: number): void {
  let at = 0;
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin < at)
      throw new FileFormatError(
        format,
        `the values of ${quote(name)} overlap those before them, at ${begin}`,
      );
    if (begin > at)
      throw new FileFormatError(
        format,
        `${begin - at} bytes before the values of ${quote(name)} belong to no tensor`,
      );
    if (end > size)
      throw new FileFormatError(
        format,
        `the values of ${quote(name)} end at ${end}, beyond the ${size} bytes that it holds; it is cut short`,
      );
    at = end;
  }
  if (at !== size) throw new FileFormatError(format, `its last ${size - at} bytes belong to no tensor`);
}

function metadataOf(value: unknown = {}): Record<string, string> {
  if (
    typeof value !== 'object' ||
    value === null ||
    Array.isArray(value) ||
    Object.values(value).some((text) => typeof text !== 'string')
  )
    throw new FileFormatError(format, 'its __metadata__ is not an object of strings', 8);
  return value as Record<string, string>;
}

/**
 * Writes weights as a safetensors file: float32, in the order of the map, the first value at a multiple of 8
 * bytes. The same weights and metadata give the same bytes.
 * @param weights - the tensors by name; `data` of lazy ones is read.
 * @param metadata - strings for `__metadata__`, in the given order; none by default.
 * @returns the bytes of the file.
 * @throws TypeError for values that are no Float32Array or do not fill their shape, and for the name `__metadata__`.
 * @throws ShapeError for a shape that is no list of whole numbers.
 * @example
 * const bytes = writeSafetensors(weights, { trainedOn: 'MNIST' });
 */
export function writeSafetensors(weights: Weights, metadata?: Readonly<Record<string, string>>): Uint8Array {
  const parts = metadata ? [`"__metadata__":${JSON.stringify(metadata)}`] : [];
  let size = 0;
  for (const [name, { shape, data: given }] of weights) {
    if (name === '__metadata__') throw new TypeError("No tensor can be named '__metadata__'; rename it.");
    if (!isShape(shape as unknown))
      throw new ShapeError(
        `${quote(name)} has the shape ${Array.isArray(shape) ? `[${excerpt(shape.join(', '))}]` : describeValue(shape)}; a shape is a list of at most 64 whole numbers from 0 up.`,
      );
    const data = floatsOf(given);
    if (!data)
      throw new TypeError(
        `The values of ${quote(name)} are ${describeValue(given)}; a Float32Array is written. Convert them with Float32Array.from(values).`,
      );
    if (data.length !== sizeOf(shape))
      throw new TypeError(`${quote(name)} has the shape [${shape.join(', ')}], but ${data.length} values.`);
    const offsets = [size, size + data.length * 4];
    size += data.length * 4;
    parts.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype: 'F32', shape, data_offsets: offsets })}`);
  }
  const text = utf8Bytes(`{${parts.join(',')}}`);
  // Spaces after the JSON align the values to 8 bytes, so that they can be read as views.
  const headerLength = Math.ceil(text.length / 8) * 8;
  const file = new Uint8Array(8 + headerLength + size);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerLength), true);
  file.fill(0x20, 8, 8 + headerLength);
  file.set(text, 8);
  let at = 8 + headerLength;
  for (const { data } of weights.values()) {
    file.set(littleEndianBytes(floatsOf(data)!), at);
    at += data.byteLength;
  }
  return file;
}
