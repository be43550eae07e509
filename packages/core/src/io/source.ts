/** Loads the bytes of a weight file from a path, a URL or a Blob, or takes bytes already in memory. */
import type { Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { FileFormatError } from '../errors.js';
import { builtin } from '../platform.js';
import { printable } from '../printable.js';
import { bytesOf, describeValue, isBlob, isUrl } from '../realms.js';
import { type CacheOptions, openCache } from './cache.js';
import { download, type Progress } from './fetch.js';
import { HashMismatch, requireHash, sha256, sha256Of } from './hash.js';
import { allocated, type SharedLimits, withinLimit } from './limits.js';
import { requireBuiltin } from './requireBuiltin.js';
import { addressOf, isUrlText, parseUrl, shownUrl } from './url.js';

/**
 * A source of weights. A string is a URL if it starts with `http:`, `https:`, `file:`, `data:`, `blob:`, `ftp:`
 * or any scheme and `://`; else it is a path in Node, and an address relative to the page in a browser.
 */
export type WeightSource = string | URL | Blob | ArrayBuffer | Uint8Array;

/** Options of {@link readSource}. */
export interface SourceOptions extends CacheOptions {
  readonly limits: SharedLimits;
  /** Expected SHA-256 in hexadecimal digits: all 64 or the first ones. */
  readonly sha256?: string | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly stallTimeout?: number | undefined;
  readonly redirect?: 'follow' | 'error' | undefined;
}

/** The bytes of a source. */
export interface SourceBytes {
  readonly bytes: Uint8Array;
  /** True if the caller holds no reference to `bytes`, so that a reader may overwrite them. */
  readonly owned: boolean;
  /** Path or URL for error messages; undefined for bytes and blobs. */
  readonly place: string | undefined;
  /** Deletes the cached download, if there is one: for bytes that cannot be read as weights. */
  forget(): Promise<void>;
}

/** Bytes read at a time from a file or Blob: 4 MiB. */
const CHUNK = 1 << 22;

/**
 * Gives a source that may be of another realm (an iframe, `vm`, jsdom) as one of this realm, for which `instanceof`
 * holds. Blobs and wrong kinds stay as they are.
 */
export const sourceOfThisRealm = (source: WeightSource): WeightSource =>
  isUrl(source) && !(source instanceof URL) ? new URL((source as URL).href) : source;

/** Gives the path of a source that is a file on disk; undefined for all others. */
export function pathOf(source: WeightSource): string | undefined {
  const url = source instanceof URL ? source.href : source;
  if (typeof url !== 'string') return undefined;
  if (/^\s*file:/i.test(url))
    return requireBuiltin<typeof import('node:url')>('node:url', 'Reading a file: URL').fileURLToPath(
      parseUrl(url),
    );
  if (source instanceof URL || isUrlText(url)) return undefined;
  return builtin<typeof import('node:fs/promises')>('node:fs/promises') || !globalThis.location
    ? url
    : undefined;
}

/** Gives the source of a file beside another one; undefined beside bytes and Blobs. */
export function besideSource(source: WeightSource, file: string): string | undefined {
  const path = pathOf(source);
  if (path !== undefined) return path.replace(/[^/\\]*$/, '') + file;
  const url = source instanceof URL ? source.href : source;
  if (typeof url !== 'string' || /^\s*(data|blob):/i.test(url)) return undefined;
  return new URL(file, parseUrl(url, globalThis.location?.href)).href;
}

/**
 * Loads all bytes of a source. Checks the size (`maxBytes`) before allocating, and the hash at the end.
 * @throws FileFormatError over `maxBytes`, or for another hash.
 * @throws DownloadError if a URL cannot be fetched.
 * @throws Error for a path that cannot be read; TypeError for another kind of source.
 */
export async function readSource(source: WeightSource, options: SourceOptions): Promise<SourceBytes> {
  options.signal?.throwIfAborted();
  const own = async (bytes: Promise<Uint8Array>, place?: string): Promise<SourceBytes> => ({
    bytes: await bytes,
    owned: true,
    place,
    forget: () => Promise.resolve(),
  });
  const path = pathOf(source);
  if (path !== undefined) return own(readFile(path, options), path);
  if (source instanceof URL) return readUrl(source.href, options);
  if (typeof source === 'string')
    return readUrl(isUrlText(source) ? source : parseUrl(source, globalThis.location?.href).href, options);
  if (isBlob(source)) return own(readBlob(source, options));
  return { ...(await own(givenBytes(source, options))), owned: false };
}

/** Gives the bytes of a source, as `bytesOf` does. @throws TypeError if their memory is another's. */
function attachedBytes(source: unknown): Uint8Array | undefined {
  try {
    return bytesOf(source);
  } catch (cause) {
    throw new TypeError(
      'The bytes of the weights are detached: they were transferred, for instance to a worker. Pass a copy, as slice() makes one, before they are.',
      { cause },
    );
  }
}

async function givenBytes(source: ArrayBuffer | Uint8Array, options: SourceOptions): Promise<Uint8Array> {
  // A plain Uint8Array even for Node's Buffer, whose slice() does not copy.
  const bytes = attachedBytes(source);
  if (!bytes)
    throw new TypeError(
      `Weights are read from a path, a URL, a Blob, an ArrayBuffer or a Uint8Array, got ${describeValue(source)}.`,
    );
  withinLimit('weight', options.limits, 'maxBytes', bytes.length);
  if (options.sha256 !== undefined) requireHash(await sha256Of(bytes, options.signal), options.sha256);
  options.onProgress?.({ loaded: bytes.length, total: bytes.length });
  options.signal?.throwIfAborted();
  return bytes;
}

/**
 * Reads `size` bytes in chunks of `CHUNK`; after each, updates the hash, reports progress, checks the signal.
 * @param readInto - copies up to `count` bytes of the source from offset `at` to `bytes`, and gives their
 * number.
 */
async function readPieces(
  size: number,
  { limits, sha256: expected, onProgress, signal }: SourceOptions,
  readInto: (bytes: Uint8Array, at: number, count: number) => Promise<number>,
): Promise<Uint8Array> {
  withinLimit('weight', limits, 'maxBytes', size);
  const bytes = allocated(size);
  const hash = expected === undefined ? undefined : sha256();
  for (let at = 0; at < size; ) {
    signal?.throwIfAborted();
    const count = await readInto(bytes, at, Math.min(CHUNK, size - at));
    if (count === 0) throw new FileFormatError('weight', 'it was cut short while it was read', at);
    hash?.update(bytes.subarray(at, at + count));
    at += count;
    onProgress?.({ loaded: at, total: size });
  }
  signal?.throwIfAborted();
  if (hash && expected !== undefined) requireHash(await hash.digest(bytes), expected);
  return bytes;
}

async function readBlob(blob: Blob, options: SourceOptions): Promise<Uint8Array> {
  if (typeof blob.arrayBuffer !== 'function')
    throw new TypeError(
      'This Blob has no arrayBuffer(), as in test environments that imitate browsers; pass its bytes.',
    );
  return readPieces(blob.size, options, async (bytes, at, count) => {
    const part = new Uint8Array(await blob.slice(at, at + count).arrayBuffer());
    bytes.set(part, at);
    return part.length;
  });
}

/** Opens a file, calls `use` with it and its `stat`, and closes it. */
export async function withFile<T>(
  path: string,
  use: (file: FileHandle, info: Stats) => Promise<T>,
): Promise<T> {
  const fs = requireBuiltin<typeof import('node:fs/promises')>(
    'node:fs/promises',
    `Reading the file ${printable(path)}`,
  );
  const file = await fs.open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    throw new Error(
      error.code === 'ENOENT'
        ? `There is no file ${printable(path)}; check the path.`
        : `Cannot open ${printable(path)} (${printable(error.message)}); check the path and its permissions.`,
      { cause: error },
    );
  });
  try {
    const info = await file.stat();
    if (!info.isFile()) throw new Error(`${printable(path)} is not a file; give the path of a weight file.`);
    return await use(file, info);
  } finally {
    await file.close();
  }
}

/** Advice for a large file on disk. */
const ON_DEMAND =
  ' Or leave its values on disk with onDemand: true, if it is a safetensors file or a zip file of PyTorch (since 1.6).';

const readFile = (path: string, options: SourceOptions): Promise<Uint8Array> =>
  withFile(path, (file, info) => {
    withinLimit('weight', options.limits, 'maxBytes', info.size, undefined, ON_DEMAND);
    return readPieces(
      info.size,
      options,
      async (bytes, at, count) => (await file.read(bytes, at, count, at)).bytesRead,
    );
  });

async function readUrl(url: string, options: SourceOptions): Promise<SourceBytes> {
  const cache = /^\s*https?:/i.test(url) ? openCache(options) : undefined;
  // Without a password, which no cache should keep.
  const key = addressOf(url).href;
  const shown = shownUrl(url);
  const forget = async (): Promise<void> => cache?.forget(key);
  const result = (bytes: Uint8Array, place: string): SourceBytes => ({ bytes, owned: true, place, forget });
  const kept = await cache?.find(key);
  if (kept !== undefined) {
    const checked = { ...options, sha256: options.sha256 ?? (await cache?.digestOf(key)) };
    const bytes = await (typeof kept === 'string' ? readFile(kept, checked) : readBlob(kept, checked)).catch(
      async (error: unknown) => {
        // A cached copy with the wrong hash is damaged: it is deleted and downloaded again.
        if (!(error instanceof HashMismatch)) throw error;
        if (options.sha256 === undefined)
          console.warn(`The kept download of ${shown} is damaged, and is downloaded again.`);
        await forget();
      },
    );
    if (bytes) return result(bytes, typeof kept === 'string' ? `${kept}, kept from ${shown}` : shown);
  }
  await cache?.prepare();
  const bytes = await download(url, options);
  // A full disk must not cost a download of hundreds of megabytes: the weights are there.
  await cache
    ?.keep(key, bytes)
    .catch((error: Error) =>
      console.warn(`The weights are used, but will be downloaded again next time: ${error.message}`),
    );
  return result(bytes, shown);
}
