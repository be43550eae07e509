/**
 * Reads zip files, as torch.save writes them: the central directory, stored entries as views, and deflated
 * entries, which may not exceed the size stated in the directory.
 */
import { FileFormatError } from '../errors.js';
import { timeSlices } from '../yield.js';
import type { FileBytes } from './fileBytes.js';
import { type Limits, nameCounter, unpackedBudget, withinLimit } from './limits.js';
import { quote } from './quote.js';
import { textDecoder } from './text.js';

const format = 'zip';

/** One file of the archive. */
export interface ZipEntry {
  readonly name: string;
  /** Compression method: 0 for stored, 8 for deflated. */
  readonly method: number;
  /** Offset in the archive of the local header, which the contents follow, in bytes. */
  readonly header: number;
  /** Offset in the archive after the last byte that the contents may have: where the next entry begins. */
  readonly end: number;
  /** Size in the archive, in bytes. */
  readonly packedBytes: number;
  /** Size of the unpacked contents, in bytes. */
  readonly bytes: number;
}

const STORED = 0;
const DEFLATED = 8;

const fail = (reason: string, offset?: number): never => {
  throw new FileFormatError(format, reason, offset);
};

/** Bytes of the end-of-central-directory record, and of the longest comment after it. */
const END_BYTES = 22;
const MAX_COMMENT = 65_535;
/** Bytes of the locator of the 64-bit record, which lies before the end record, and of that record. */
const LOCATOR_BYTES = 20;
const RECORD_BYTES = 56;
/** Bytes of an entry's local header without its name and extra field. */
const LOCAL_BYTES = 30;

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array): DataView =>
  new DataView(buffer, byteOffset, byteLength);

/** Place of the central directory: number of entries, offsets of its first byte and after its last. */
interface Directory {
  readonly count: number;
  readonly start: number;
  readonly end: number;
}

/**
 * Requires that the directory ends at its record. It does not if other bytes were put before the archive, as when two
 * are joined: readers differ in which of the two they take.
 */
function endingAt(count: number, start: number, size: number, end: number): Directory {
  if (start + size !== end)
    fail(
      `its directory of ${size} bytes at ${start} does not end at ${end}, where the record of it begins; the file is damaged, or two are joined`,
      end,
    );
  return { count, start, end };
}

/** Finds the central directory by the record at the end of the archive; reads zip64 records too. */
async function directoryOf(file: FileBytes): Promise<Directory> {
  if (file.length < END_BYTES) fail('it is shorter than an empty zip file', file.length);
  const from = Math.max(0, file.length - END_BYTES - MAX_COMMENT - LOCATOR_BYTES);
  const view = viewOf(await file.read(from, file.length - from));
  let at = view.byteLength - END_BYTES;
  const least = Math.max(0, at - MAX_COMMENT);
  while (at >= least && view.getUint32(at, true) !== 0x06054b50) at--;
  if (at < least) fail('it has no directory at its end; the file is cut short', file.length);
  const locator = at - LOCATOR_BYTES;
  if (locator < 0 || view.getUint32(locator, true) !== 0x07064b50)
    return endingAt(
      view.getUint16(at + 10, true),
      view.getUint32(at + 16, true),
      view.getUint32(at + 12, true),
      from + at,
    );
  const recordAt = Number(view.getBigUint64(locator + 8, true));
  const record =
    recordAt + RECORD_BYTES <= file.length ? viewOf(await file.read(recordAt, RECORD_BYTES)) : undefined;
  if (record?.getUint32(0, true) !== 0x06064b50)
    return fail('its 64-bit directory is not where it says', from + locator);
  const [count, size, start] = [32, 40, 48].map((offset) => Number(record.getBigUint64(offset, true)));
  return endingAt(count!, start!, size!, recordAt);
}

/**
 * Replaces values that are 0xffffffff by the 64-bit ones of the zip64 extra field, which lists only those.
 */
function zip64(view: DataView, from: number, end: number, values: readonly number[]): number[] {
  for (let at = from; at + 4 <= end; at += 4 + view.getUint16(at + 2, true)) {
    if (view.getUint16(at, true) !== 1) continue;
    let field = at + 4;
    return values.map((value) => {
      if (value !== 0xffffffff) return value;
      if (field + 8 > end) return fail('a 64-bit size is cut short', field);
      field += 8;
      return Number(view.getBigUint64(field - 8, true));
    });
  }
  return [...values];
}

/** Entries of the directory between two looks at the clock. */
const STRIDE = 1024;

/**
 * Reads the central directory: all entries by name. Sizes and offsets must lie within the file, entries may
 * not overlap, and all unpacked sizes together may not exceed `maxBytes` (of a file on disk, which is read entry by
 * entry, those that are deflated), nor 32 times the file. The CRC-32 of entries is not checked; a SHA-256 of the file
 * is (`sha256` of `readWeights`).
 * @throws FileFormatError if a check fails, or for an encrypted entry.
 */
export async function readZip(
  file: FileBytes,
  limits: Limits,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, ZipEntry>> {
  const { count, start, end } = await directoryOf(file);
  withinLimit(format, limits, 'maxHeaderBytes', count * 46, start);
  // A directory that goes beyond the limit is refused before its end is looked for.
  const length = Math.max(0, Math.min(end - start, limits.maxHeaderBytes));
  const directory = await file.read(Math.min(start, end), length);
  const view = viewOf(directory);
  const decoder = textDecoder();
  const sliced = timeSlices(signal);
  const countName = nameCounter(format);
  const entries: Omit<ZipEntry, 'end'>[] = [];
  const names = new Set<string>();
  let unpacked = 0;
  let inMemory = 0;
  let at = 0;
  for (let index = 0; index < count; index++) {
    if (index % STRIDE === STRIDE - 1) await sliced();
    const place = start + at;
    if (at + 46 > length || view.getUint32(at, true) !== 0x02014b50)
      fail(`entry ${index} of its directory is not where it should be`, place);
    const nameEnd = at + 46 + view.getUint16(at + 28, true);
    const extraEnd = nameEnd + view.getUint16(at + 30, true);
    const next = extraEnd + view.getUint16(at + 32, true);
    withinLimit(format, limits, 'maxHeaderBytes', next, place);
    if (next > length) fail(`entry ${index} of its directory is cut short`, place);
    const name = decoder.decode(directory.subarray(at + 46, nameEnd));
    const [size, packedBytes, header] = zip64(view, nameEnd, extraEnd, [
      view.getUint32(at + 24, true),
      view.getUint32(at + 20, true),
      view.getUint32(at + 42, true),
    ]) as [number, number, number];
    const method = view.getUint16(at + 10, true);
    if (view.getUint16(at + 8, true) & 1) fail(`${quote(name)} is encrypted`, place);
    if (header + LOCAL_BYTES > file.length) fail(`${quote(name)} is not where the directory says`, place);
    if (header + LOCAL_BYTES + packedBytes > file.length)
      fail(`${quote(name)} of ${packedBytes} bytes goes beyond the end of the file`, place);
    if (method === STORED && size !== packedBytes)
      fail(`${quote(name)} is stored uncompressed, but gives two sizes, ${packedBytes} and ${size}`, place);
    // Deflate compresses at most 1032-fold. A larger size is a lie, refused before memory is allocated.
    if (size > packedBytes * 1032 + 64)
      fail(`${quote(name)} claims ${size} bytes from ${packedBytes}, more than deflate can hold`, place);
    unpacked += size;
    if (!file.lazy || method !== STORED) inMemory += size;
    withinLimit(format, limits, 'maxBytes', inMemory, place);
    if (unpacked > unpackedBudget(file.length))
      fail(
        `its entries unpack to ${unpacked.toLocaleString('en-US')} bytes and more, over 32 times the ${file.length.toLocaleString('en-US')} of the file. Unpack it yourself if you trust it, and zip it without compression.`,
        place,
      );
    countName(name);
    if (names.has(name)) fail(`${quote(name)} occurs twice`, place);
    names.add(name);
    entries.push({ name, method, header, packedBytes, bytes: size });
    at = next;
  }
  if (start + at !== end) fail('its directory is longer than its entries', start + at);
  return apart(entries, file.length);
}

/**
 * Gives entries by name, in the order of the directory, with the ends of their contents. Refuses overlapping ones:
 * zip bombs share bytes between entries, and no honest writer does.
 */
function apart(entries: readonly Omit<ZipEntry, 'end'>[], length: number): ReadonlyMap<string, ZipEntry> {
  const sorted = [...entries].sort((a, b) => a.header - b.header);
  const ends = new Map<Omit<ZipEntry, 'end'>, number>();
  for (const [i, entry] of sorted.entries()) {
    const next = sorted[i + 1];
    if (next && entry.header + LOCAL_BYTES + entry.packedBytes > next.header)
      fail(`${quote(next.name)} overlaps the entry before it`, next.header);
    ends.set(entry, next?.header ?? length);
  }
  return new Map(entries.map((entry) => [entry.name, { ...entry, end: ends.get(entry)! }]));
}

/**
 * Finds the contents of an entry: gives the offset of their first byte.
 * @throws FileFormatError if its local header is not where the directory says.
 */
export async function startOf(
  file: FileBytes,
  { name, header, packedBytes, end }: ZipEntry,
): Promise<number> {
  const view = viewOf(await file.read(header, LOCAL_BYTES));
  if (view.getUint32(0, true) !== 0x04034b50) fail(`${quote(name)} is not where the directory says`, header);
  const start = header + LOCAL_BYTES + view.getUint16(26, true) + view.getUint16(28, true);
  if (start + packedBytes > end)
    fail(`${quote(name)} of ${packedBytes} bytes goes beyond the end of its place`, header);
  return start;
}

/** True if the contents of an entry are stored as they are. */
export const isStored = ({ method }: ZipEntry): boolean => method === STORED;

/**
 * Gives the contents of an entry: of a stored one as `file.read` does, of a deflated one in a new array.
 * @throws FileFormatError for other methods, and for contents of another size than the directory states.
 */
export async function entryBytes(
  file: FileBytes,
  entry: ZipEntry,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const { name, method, packedBytes, bytes } = entry;
  signal?.throwIfAborted();
  const start = await startOf(file, entry);
  if (method !== STORED && method !== DEFLATED)
    return fail(
      `${quote(name)} is compressed by method ${method}; stored and deflated entries are supported`,
      start,
    );
  const packed = await file.read(start, packedBytes);
  if (method === STORED) return packed;
  const result = new Uint8Array(bytes);
  const reader = new Blob([packed as Uint8Array<ArrayBuffer>])
    .stream()
    .pipeThrough(new DecompressionStream('deflate-raw'))
    .getReader();
  let at = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: Error) => {
        return fail(`${quote(name)} cannot be decompressed (${error.message})`, start);
      });
      signal?.throwIfAborted();
      if (done) break;
      if (at + value.length > bytes)
        fail(`${quote(name)} holds more than the ${bytes} bytes it claims`, start);
      result.set(value, at);
      at += value.length;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
  if (at !== bytes) fail(`${quote(name)} holds ${at} bytes and claims ${bytes}`, start);
  return result;
}
