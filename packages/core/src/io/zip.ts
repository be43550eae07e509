/** Reads the directory of a zip file and its entries: stored ones in place, deflated ones within their stated size. */
import { FileFormatError } from '../errors.js';
import { type Limits, withinLimit } from './limits.js';

const format = 'zip';

/** One file of the archive. */
export interface ZipEntry {
  readonly name: string;
  readonly method: number;
  /** Where the values start. */
  readonly start: number;
  readonly compressedBytes: number;
  readonly bytes: number;
}

const fail = (reason: string, offset?: number): never => {
  throw new FileFormatError(format, reason, offset);
};

function endOfDirectory(view: DataView): number {
  for (let at = view.byteLength - 22; at >= Math.max(0, view.byteLength - 22 - 65535); at--)
    if (view.getUint32(at, true) === 0x06054b50) return at;
  return fail('it has no directory at its end; the file is cut short', view.byteLength);
}

/** 64-bit sizes and offset from an entry's extra field, for those that read 0xffffffff. */
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

/** Every entry by name. Sizes and places are checked against the file. */
export function readZip(bytes: Uint8Array, limits: Limits): ReadonlyMap<string, ZipEntry> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 22) fail('it is shorter than an empty zip file', bytes.length);
  const end = endOfDirectory(view);
  let count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  const locator = end - 20;
  if (locator >= 0 && view.getUint32(locator, true) === 0x07064b50) {
    const record = Number(view.getBigUint64(locator + 8, true));
    if (record + 56 > bytes.length || view.getUint32(record, true) !== 0x06064b50)
      fail('its 64-bit directory is not where it says', locator);
    count = Number(view.getBigUint64(record + 32, true));
    at = Number(view.getBigUint64(record + 48, true));
  }
  withinLimit(format, limits, 'maxTensors', count, end);
  const entries = new Map<string, ZipEntry>();
  for (let index = 0; index < count; index++) {
    if (at + 46 > bytes.length || view.getUint32(at, true) !== 0x02014b50)
      fail(`directory entry ${index} is not where it should be`, at);
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((field) =>
      view.getUint16(at + field, true),
    ) as [number, number, number];
    const next = at + 46 + nameLength + extraLength + commentLength;
    if (next > bytes.length) fail(`directory entry ${index} is cut short`, at);
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameLength));
    const [size, compressedBytes, header] = zip64(
      view,
      at + 46 + nameLength,
      at + 46 + nameLength + extraLength,
      [view.getUint32(at + 24, true), view.getUint32(at + 20, true), view.getUint32(at + 42, true)],
    ) as [number, number, number];
    if (view.getUint16(at + 8, true) & 1) fail(`'${name}' is encrypted`, at);
    if (header + 30 > bytes.length || view.getUint32(header, true) !== 0x04034b50)
      fail(`'${name}' is not where the directory says`, at);
    const start = header + 30 + view.getUint16(header + 26, true) + view.getUint16(header + 28, true);
    if (start + compressedBytes > bytes.length)
      fail(`'${name}' of ${compressedBytes} bytes goes beyond the end of the file`, at);
    withinLimit(format, limits, 'maxBytes', size, at);
    if (entries.has(name)) fail(`'${name}' stands in it twice`, at);
    entries.set(name, { name, method: view.getUint16(at + 10, true), start, compressedBytes, bytes: size });
    at = next;
  }
  return entries;
}

/** The bytes of an entry: a view where it is stored, decompressed where it is deflated. */
export async function entryBytes(file: Uint8Array, entry: ZipEntry): Promise<Uint8Array> {
  const { name, method, start, compressedBytes, bytes } = entry;
  const stored = file.subarray(start, start + compressedBytes);
  if (method === 0) return stored;
  if (method !== 8)
    return fail(`'${name}' is compressed by method ${method}; stored and deflated entries are read`, start);
  // Deflate gains at most a factor of 1032: a larger claim is a lie, found before memory is taken.
  if (bytes > compressedBytes * 1032 + 64)
    fail(`'${name}' claims ${bytes} bytes from ${compressedBytes}, more than deflate can hold`, start);
  const result = new Uint8Array(bytes);
  const reader = new Blob([stored.slice()])
    .stream()
    .pipeThrough(new DecompressionStream('deflate-raw'))
    .getReader();
  let at = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (at + value.length > bytes) fail(`'${name}' holds more than the ${bytes} bytes it claims`, start);
      result.set(value, at);
      at += value.length;
    }
  } catch (error) {
    if (error instanceof FileFormatError) throw error;
    fail(`'${name}' cannot be decompressed (${(error as Error).message})`, start);
  } finally {
    await reader.cancel().catch(() => undefined);
  }
  if (at !== bytes) fail(`'${name}' holds ${at} bytes and claims ${bytes}`, start);
  return result;
}
