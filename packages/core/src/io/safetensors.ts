/** The safetensors format: a length, a JSON header that says where each tensor lies, and the values. */
import type { FileHandle } from 'node:fs/promises';
import { FileFormatError } from '../errors.js';
import { requireBuiltin } from '../platform.js';
import { type Shape, sizeOf } from '../tensor/shape.js';
import type { Weights } from '../tensor/tensor.js';
import { aligned, bytesPerValue, type DType, isDType, littleEndianBytes, toFloat32 } from './dtype.js';
import { type JsonHeader, parseHeader } from './jsonHeader.js';
import { isCount, isShape, type Limits, requireElements, resolveLimits, withinLimit } from './limits.js';
import { quote } from './quote.js';

const format = 'safetensors';

/** A safetensors file: its tensors, and the strings kept with them. */
export interface Safetensors {
  readonly weights: Weights;
  /** What stands under `__metadata__`; empty where there is none. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Where a tensor lies, in bytes behind the header. */
export interface Entry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly begin: number;
  readonly end: number;
}

/** Whether the bytes can be a safetensors file: a header length below 2^48, then the `{` of a JSON object. */
export const looksLikeSafetensors = (bytes: Uint8Array): boolean =>
  bytes.length >= 9 && bytes[8] === 0x7b && bytes[6] === 0 && bytes[7] === 0;

/**
 * Reads the bytes of a safetensors file, metadata included. Float32 values are views of `bytes`; other types
 * become float32. Names keep the order of the file.
 * @param limits - bounds on the header and the tensors; defaults as for `readWeights`.
 * @throws FileFormatError when the header or an offset is wrong, values overlap or leave gaps, or a limit is passed.
 * @example
 * readSafetensors(writeSafetensors(weights, { epoch: '3' })).metadata.epoch // '3'
 */
export function readSafetensors(bytes: Uint8Array, limits?: Partial<Limits>): Safetensors {
  return parseSafetensors(bytes, { limits: resolveLimits(limits), owned: false });
}

/** As `readSafetensors`; values in bytes that are the reader's own may be moved to where views can start. */
export function parseSafetensors(
  bytes: Uint8Array,
  { limits, owned }: { readonly limits: Limits; readonly owned: boolean },
): Safetensors {
  const { entries, start, metadata } = layoutOf(bytes, bytes.length, limits);
  // The header before the values has been read: there is room to move them.
  const data = aligned(bytes.subarray(start), owned);
  const weights: Weights = new Map(
    entries.map(({ name, dtype, shape, begin, end }) => [
      name,
      { shape, data: toFloat32(data.subarray(begin, end), dtype) },
    ]),
  );
  return { weights, metadata };
}

/** What the header of a file of this length says, checked: its tensors, and where their values start. */
export function layoutOf(
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
  requireElements(
    format,
    limits,
    entries.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    size,
  );
  return { entries, start: 8 + headerLength, metadata: metadataOf(header.__metadata__) };
}

/** The header of a file and its length in bytes. */
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
  return { ...parseHeader(decode(bytes.subarray(8, 8 + headerLength)), limits), headerLength };
}

/**
 * The strings kept with a safetensors file on disk: what stands under `__metadata__`, empty where there is
 * none. Only the header is read, however large the file is. Node only.
 * @param limits - bounds on the header; defaults as for `readWeights`.
 * @throws FileFormatError when the header is wrong or over a limit.
 * @throws Error for a file that cannot be read.
 */
export async function readSafetensorsMetadata(
  path: string,
  limits?: Partial<Limits>,
): Promise<Readonly<Record<string, string>>> {
  const bounds = resolveLimits(limits);
  const file = await requireBuiltin<typeof import('node:fs/promises')>(
    'node:fs/promises',
    'Reading a file',
  ).open(path, 'r');
  try {
    return metadataOf(headerOf(await headerBytes(file, bounds), bounds).entries.__metadata__);
  } finally {
    await file.close();
  }
}

/** The bytes of a file up to the end of its header. */
export async function headerBytes(file: FileHandle, limits: Limits): Promise<Uint8Array> {
  const read = async (count: number): Promise<Uint8Array> => {
    const bytes = new Uint8Array(count);
    const { bytesRead } = await file.read(bytes, 0, count, 0);
    return bytes.subarray(0, bytesRead);
  };
  const start = await read(8);
  if (start.length < 8) throw new FileFormatError(format, 'it ends before its header length', start.length);
  const headerLength = Number(new DataView(start.buffer).getBigUint64(0, true));
  withinLimit(format, limits, 'maxHeaderBytes', headerLength, 0);
  return read(8 + headerLength);
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
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
  if (!isDType(dtype)) return fail(`has the type ${JSON.stringify(dtype)}, which is not read`);
  if (!isShape(shape)) return fail('has no shape of whole numbers');
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    return fail('has no pair of data_offsets');
  const [begin, end] = offsets as [number, number];
  const needed = sizeOf(shape) * bytesPerValue(dtype);
  if (end - begin !== needed)
    return fail(`needs ${needed} bytes for its shape, but its offsets span ${end - begin}`);
  return { name, dtype, shape, begin, end };
}

/** The values of all tensors must lie side by side and fill the file, as the format asks. */
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
        `${begin - at} bytes before the values of ${quote(name)} belong to none`,
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
 * Weights as a safetensors file: float32, in the order given, the values on an 8-byte boundary. The same
 * weights and metadata give the same bytes.
 * @param metadata - strings to keep with the file, in the order given; none by default.
 * @throws TypeError for a tensor whose values do not fill its shape, and for the name `__metadata__`.
 * @example
 * const bytes = writeSafetensors(weights, { trainedOn: 'MNIST' });
 */
export function writeSafetensors(weights: Weights, metadata?: Readonly<Record<string, string>>): Uint8Array {
  const parts = metadata ? [`"__metadata__":${JSON.stringify(metadata)}`] : [];
  let size = 0;
  for (const [name, { shape, data }] of weights) {
    if (name === '__metadata__') throw new TypeError("No tensor can be named '__metadata__'; rename it.");
    if (data.length !== sizeOf(shape))
      throw new TypeError(`${quote(name)} has the shape [${shape.join(', ')}], but ${data.length} values.`);
    const offsets = [size, size + data.length * 4];
    size += data.length * 4;
    parts.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype: 'F32', shape, data_offsets: offsets })}`);
  }
  const text = new TextEncoder().encode(`{${parts.join(',')}}`);
  // Spaces after the JSON put the values on an 8-byte boundary, so that they can be read in place.
  const headerLength = Math.ceil(text.length / 8) * 8;
  const file = new Uint8Array(8 + headerLength + size);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerLength), true);
  file.fill(0x20, 8, 8 + headerLength);
  file.set(text, 8);
  let at = 8 + headerLength;
  for (const { data } of weights.values()) {
    file.set(littleEndianBytes(data), at);
    at += data.byteLength;
  }
  return file;
}
