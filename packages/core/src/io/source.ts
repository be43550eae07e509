/** Gets the bytes of a weight file, wherever it is: a path, a URL, a Blob, or bytes already in memory. */
import { FileFormatError } from '../errors.js';
import { cached, defaultCacheDirectory, forget, keep } from './cache.js';
import { download, type Progress } from './fetch.js';
import { requireHash, sha256 } from './hash.js';
import { type Limits, withinLimit } from './limits.js';
import { requireBuiltin } from './node.js';

/** Where weights come from. A string is a URL when it starts with http:// or https://, else a path. */
export type WeightSource = string | URL | Blob | ArrayBuffer | Uint8Array;

/** How bytes are fetched. */
export interface SourceOptions {
  readonly limits: Limits;
  /** Expected SHA-256, whole or its first digits. */
  readonly sha256?: string | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Folder for downloads in Node; false keeps none. Default: see `defaultCacheDirectory`. */
  readonly cache?: string | false | undefined;
  readonly stallTimeout?: number | undefined;
}

/** Bytes read at a time from a file. */
const CHUNK = 1 << 22;

/** All bytes of a source, checked against the limits before memory is taken and against the hash after. */
export async function readSource(source: WeightSource, options: SourceOptions): Promise<Uint8Array> {
  const { limits, signal, onProgress } = options;
  signal?.throwIfAborted();
  if (source instanceof URL && source.protocol === 'file:')
    return readFile(requireUrl().fileURLToPath(source), options);
  const text = source instanceof URL ? source.href : source;
  if (typeof text === 'string')
    return /^https?:\/\//i.test(text) ? readUrl(text, options) : readFile(text, options);
  const size = text instanceof Blob ? text.size : text.byteLength;
  withinLimit('weight', limits, 'maxBytes', size);
  const bytes =
    text instanceof Uint8Array
      ? text
      : new Uint8Array(text instanceof Blob ? await text.arrayBuffer() : text);
  signal?.throwIfAborted();
  onProgress?.({ loaded: size, total: size });
  await check(bytes, options, 'the bytes');
  return bytes;
}

const requireUrl = (): typeof import('node:url') => {
  const url = typeof process === 'undefined' ? undefined : process.getBuiltinModule?.('node:url');
  if (!url)
    throw new Error('A file: URL needs Node 20.16 or newer; in a browser pass a URL, a Blob or bytes.');
  return url;
};

async function check(bytes: Uint8Array, { sha256: expected }: SourceOptions, what: string): Promise<void> {
  if (!expected) return;
  const hash = sha256();
  hash.update(bytes);
  requireHash(await hash.digest(bytes), expected, what);
}

async function readFile(
  path: string,
  { limits, sha256: expected, onProgress, signal }: SourceOptions,
): Promise<Uint8Array> {
  const fs = requireBuiltin('node:fs/promises', `Reading the file ${path}`);
  const file = await fs.open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    throw new Error(
      error.code === 'ENOENT'
        ? `There is no file ${path}; check the path.`
        : `Cannot open ${path}: ${error.message}.`,
    );
  });
  try {
    const info = await file.stat();
    if (!info.isFile()) throw new Error(`${path} is not a file; give the path of a weight file.`);
    const { size } = info;
    withinLimit('weight', limits, 'maxBytes', size);
    const bytes = new Uint8Array(size);
    const hash = expected ? sha256() : undefined;
    for (let at = 0; at < size; ) {
      signal?.throwIfAborted();
      const { bytesRead } = await file.read(bytes, at, Math.min(CHUNK, size - at), at);
      if (bytesRead === 0) throw new FileFormatError('weight', `${path} was cut short while it was read`, at);
      hash?.update(bytes.subarray(at, at + bytesRead));
      at += bytesRead;
      onProgress?.({ loaded: at, total: size });
    }
    if (hash && expected) requireHash(await hash.digest(bytes), expected, path);
    return bytes;
  } finally {
    await file.close();
  }
}

async function readUrl(url: string, options: SourceOptions): Promise<Uint8Array> {
  const directory = options.cache === false ? undefined : (options.cache ?? defaultCacheDirectory());
  const path = directory && (await cached(directory, url));
  if (directory && path) {
    try {
      return await readFile(path, options);
    } catch (error) {
      // A damaged cache entry is replaced by a fresh download; nothing else is hidden.
      if (!(error instanceof FileFormatError)) throw error;
      await forget(directory, url);
    }
  }
  const bytes = await download(url, options);
  await check(bytes, options, url);
  if (directory) await keep(directory, url, bytes);
  return bytes;
}
