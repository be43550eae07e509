/** Reads the bytes of a picture file wherever it is: on disk, at an address, in a Blob, in memory. */
import { checkSignal } from '@cnn/core/graph';
import {
  addressOf,
  builtin,
  describeValue,
  isBlob,
  isUrl,
  isUrlText,
  kindOf,
  pathOf,
  printable,
  shownUrl,
  bytesOf as viewOf,
} from '@cnn/core/io';
import { SourceError } from './sourceError.js';

/**
 * A file: a path (Node), a URL or its text (`https:`, `file:`, `data:`, `blob:`; in a page also an address relative to
 * it), a Blob or File, or its bytes.
 */
export type FileSource = string | URL | Blob | ArrayBuffer | Uint8Array;

/** Options of {@link readBytes}. */
export interface ReadBytesOptions {
  /** Largest size of the file in bytes. Default 2^28, 256 MiB. */
  readonly maxBytes?: number;
  /** Stops reading; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Reasons by the system's error codes. */
const reasons: Readonly<Record<string, string>> = {
  EISDIR: 'it is a folder; give a file in it',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EMFILE: 'too many files are open',
};

/** True for the kinds of arrays that hold a file. Other typed arrays are numbers, not bytes. */
const isBytes = (value: unknown): boolean =>
  ['Uint8Array', 'Uint8ClampedArray', 'DataView', 'ArrayBuffer', 'SharedArrayBuffer'].includes(kindOf(value));

/** True if a value is a {@link FileSource}, of any realm. */
export const isFileSource = (value: unknown): value is FileSource =>
  kindOf(value) === 'String' || isUrl(value) || isBlob(value) || isBytes(value);

/**
 * Reads all bytes of a file. Bytes are given as they are, not copied.
 * @throws SourceError with a `code` if the source is of another kind, is not there, cannot be read, or is too large.
 * @example
 * const file = await readBytes(new Blob([Uint8Array.of(1, 2, 3)]));
 */
export async function readBytes(
  source: FileSource,
  { maxBytes = 2 ** 28, signal }: ReadBytesOptions = {},
): Promise<Uint8Array> {
  checkSignal(signal);
  const requireSize = (size: number, what: string): void => {
    if (size > maxBytes)
      throw new SourceError(
        'ERR_SOURCE_TOO_LARGE',
        `${what} has more than ${maxBytes.toLocaleString('en-US')} bytes, the limit for a file.`,
      );
  };
  if (!isFileSource(source))
    throw new SourceError(
      'ERR_SOURCE_TYPE',
      `A file is given as a path, a URL, a Blob, an ArrayBuffer or a Uint8Array, got ${describeValue(source)}.`,
    );
  if (isBlob(source)) {
    requireSize(source.size, 'The Blob');
    const bytes = await source.arrayBuffer().catch((error: Error) => {
      throw unreadable(`The ${kindOf(source)} cannot be read`, error.message, error);
    });
    signal?.throwIfAborted();
    return new Uint8Array(bytes);
  }
  if (isBytes(source)) {
    const bytes = viewOf(source)!;
    requireSize(bytes.length, 'The array');
    return bytes;
  }
  const text = String(source);
  // `pathOf` knows URLs of this realm only.
  const path = pathOf(isUrl(source) ? new URL(text) : text);
  return path === undefined ? download(text, requireSize, signal) : readFile(path, requireSize, signal);
}

const unreadable = (what: string, reason: string, cause: unknown): SourceError =>
  new SourceError('ERR_SOURCE_UNREADABLE', `${what} (${printable(reason)}).`, { cause });

/** Throws if a file of this size, described by the text, is too large. */
type RequireSize = (size: number, what: string) => void;

async function readFile(
  path: string,
  requireSize: RequireSize,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const fs = builtin<typeof import('node:fs/promises')>('node:fs/promises');
  const shown = printable(path);
  if (!fs)
    throw new SourceError(
      'ERR_SOURCE_UNREADABLE',
      `There are no files here, so ${shown} cannot be read. Give a URL, a Blob or bytes.`,
    );
  try {
    requireSize((await fs.stat(path)).size, shown);
    const bytes = await fs.readFile(path, signal ? { signal } : {});
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof SourceError) throw error;
    const { code = '', message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new SourceError('ERR_SOURCE_NOT_FOUND', `There is no file ${shown}; check the path.`, {
        cause: error,
      });
    throw unreadable(`Cannot read ${shown}`, reasons[code] ?? message, error);
  }
}

async function download(
  url: string,
  requireSize: RequireSize,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  // Relative addresses are those of the page.
  const { href, headers } = addressOf(isUrlText(url) ? url : new URL(url, globalThis.location?.href).href);
  const shown = shownUrl(href);
  const failed = (error: unknown): never => {
    signal?.throwIfAborted();
    if (error instanceof SourceError) throw error;
    const { code, message } = ((error as Error).cause ?? error) as NodeJS.ErrnoException;
    throw unreadable(
      `Could not fetch ${shown}; check the address and the connection`,
      code ?? message,
      error,
    );
  };
  const answer = await fetch(href, { headers, ...(signal ? { signal } : {}) }).catch(failed);
  if (!answer.ok) {
    const isGone = answer.status === 404 || answer.status === 410;
    throw new SourceError(
      isGone ? 'ERR_SOURCE_NOT_FOUND' : 'ERR_SOURCE_UNREADABLE',
      `The server answered ${answer.status} for ${shown}; check the address.`,
    );
  }
  try {
    requireSize(Number(answer.headers.get('content-length') ?? 0), shown);
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let length = 0;
    const reader = answer.body?.getReader();
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
      parts.push(part.value);
      length += part.value.length;
      requireSize(length, shown);
    }
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  } catch (error) {
    void answer.body?.cancel().catch(() => undefined);
    return failed(error);
  }
}
