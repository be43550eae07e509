/**
 * Reads zip files, as torch.save writes them: the central directory, stored entries as views, and deflated
 * entries, which may not exceed the size stated in the directory.
 */
import { FileFormatError } from '../errors.js';
import { type Limits, withinLimit } from './limits.js';
import { quote } from './quote.js';
import { textDecoder } from './text.js';

const format = 'zip';

/** One file of the archive. */
export interface ZipEntry {
  readonly name: string;
  /** Compression method: 0 for stored, 8 for deflated. */
  readonly method: number;
  /** Offset in the archive of the contents, after the local header, in bytes. */
  readonly start: number;
  /** Size in the archive, in bytes. */
  readonly packedBytes: number;
  /** Size of the unpacked contents, in bytes. */
  readonly bytes: number;
}

const STORED = 0;
const DEFLATED = 8;

/**
 * Bytes that all entries together may unpack to: 32 for each byte of the archive, or 4 MiB. Weights compress to
 * half their size at best, text to a tenth; deflate itself goes to 1032, which is what bombs are made of.
 */
const budgetOf = (archiveBytes: number): number => Math.max(2 ** 22, 32 * archiveBytes);

const fail = (reason: string, offset?: number): never => {
  throw new FileFormatError(format, reason, offset);
};

/** Finds the end-of-central-directory record: 22 bytes, followed by a comment of at most 65,535 bytes. */
function endOfDirectory(view: DataView): number {
  for (let at = view.byteLength - 22; at >= Math.max(0, view.byteLength - 22 - 65535); at--)
    if (view.getUint32(at, true) === 0x06054b50) return at;
  return fail('it has no directory at its end; the file is cut short', view.byteLength);
}

/**
 * Gives the offset of the central directory, in bytes, and its number of entries; reads zip64 records too.
 */
function directoryOf(view: DataView): { count: number; start: number } {
  const end = endOfDirectory(view);
  const locator = end - 20;
  if (locator < 0 || view.getUint32(locator, true) !== 0x07064b50)
    return { count: view.getUint16(end + 10, true), start: view.getUint32(end + 16, true) };
  const record = Number(view.getBigUint64(locator + 8, true));
  if (record + 56 > view.byteLength || view.getUint32(record, true) !== 0x06064b50)
    fail('its 64-bit directory is not where it says', locator);
  return {
    count: Number(view.getBigUint64(record + 32, true)),
    start: Number(view.getBigUint64(record + 48, true)),
  };
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

/**
 * Reads the central directory: all entries by name. Sizes and offsets must lie within the file, entries may
 * not overlap, and all unpacked sizes together may not exceed `maxBytes`, nor 32 times the file. The CRC-32 of
 * entries is not checked; a SHA-256 of the file is (`sha256` of `readWeights`).
 * @throws FileFormatError if a check fails, or for an encrypted entry.
 */
export function readZip(bytes: Uint8Array, limits: Limits): ReadonlyMap<string, ZipEntry> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 22) fail('it is shorter than an empty zip file', bytes.length);
  const { count, start } = directoryOf(view);
  withinLimit(format, limits, 'maxHeaderBytes', count * 46, start);
  const decoder = textDecoder();
  const entries = new Map<string, ZipEntry>();
  let unpacked = 0;
  let at = start;
  for (let index = 0; index < count; index++) {
    if (at + 46 > bytes.length || view.getUint32(at, true) !== 0x02014b50)
      fail(`entry ${index} of its directory is not where it should be`, at);
    const nameEnd = at + 46 + view.getUint16(at + 28, true);
    const extraEnd = nameEnd + view.getUint16(at + 30, true);
    const next = extraEnd + view.getUint16(at + 32, true);
    if (next > bytes.length) fail(`entry ${index} of its directory is cut short`, at);
    withinLimit(format, limits, 'maxHeaderBytes', next - start, at);
    const name = decoder.decode(bytes.subarray(at + 46, nameEnd));
    const [size, packedBytes, header] = zip64(view, nameEnd, extraEnd, [
      view.getUint32(at + 24, true),
      view.getUint32(at + 20, true),
      view.getUint32(at + 42, true),
    ]) as [number, number, number];
    const method = view.getUint16(at + 10, true);
    if (view.getUint16(at + 8, true) & 1) fail(`${quote(name)} is encrypted`, at);
    if (header + 30 > bytes.length || view.getUint32(header, true) !== 0x04034b50)
      fail(`${quote(name)} is not where the directory says`, at);
    const data = header + 30 + view.getUint16(header + 26, true) + view.getUint16(header + 28, true);
    if (data + packedBytes > bytes.length)
      fail(`${quote(name)} of ${packedBytes} bytes goes beyond the end of the file`, at);
    if (method === STORED && size !== packedBytes)
      fail(`${quote(name)} is stored uncompressed, but gives two sizes, ${packedBytes} and ${size}`, at);
    // Deflate compresses at most 1032-fold. A larger size is a lie, refused before memory is allocated.
    if (size > packedBytes * 1032 + 64)
      fail(`${quote(name)} claims ${size} bytes from ${packedBytes}, more than deflate can hold`, at);
    unpacked += size;
    withinLimit(format, limits, 'maxBytes', unpacked, at);
    if (unpacked > budgetOf(bytes.length))
      fail(
        `its entries unpack to ${unpacked.toLocaleString('en-US')} bytes and more, over 32 times the ${bytes.length.toLocaleString('en-US')} of the file. Unpack it yourself if you trust it, and zip it without compression.`,
        at,
      );
    if (entries.has(name)) fail(`${quote(name)} occurs twice`, at);
    entries.set(name, { name, method, start: data, packedBytes, bytes: size });
    at = next;
  }
  requireApart(entries);
  return entries;
}

/** Refuses overlapping entries: zip bombs share bytes between entries, and no honest writer does. */
function requireApart(entries: ReadonlyMap<string, ZipEntry>): void {
  let previousEnd = 0;
  for (const { name, start, packedBytes } of [...entries.values()].sort((a, b) => a.start - b.start)) {
    // A local header of at least 30 bytes precedes the contents of an entry.
    if (start - 30 < previousEnd) fail(`${quote(name)} overlaps the entry before it`, start);
    previousEnd = start + packedBytes;
  }
}

/**
 * Gives the contents of an entry: a view of `file` if it is stored, a new array if it is deflated.
 * @throws FileFormatError for other methods, and for contents of another size than the directory states.
 */
export async function entryBytes(
  file: Uint8Array,
  entry: ZipEntry,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const { name, method, start, packedBytes, bytes } = entry;
  signal?.throwIfAborted();
  const packed = file.subarray(start, start + packedBytes);
  if (method === STORED) return packed;
  if (method !== DEFLATED)
    return fail(
      `${quote(name)} is compressed by method ${method}; stored and deflated entries are supported`,
      start,
    );
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
