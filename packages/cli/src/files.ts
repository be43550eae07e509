/** Reads pictures and writes results, with errors that say what to do. */
import { constants, createReadStream, existsSync, readlinkSync } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { basename, dirname, extname } from 'node:path';
import { addAbortSignal } from 'node:stream';
import { makeFolder, pathOf, printable, writeAtomically } from '@cnn/core/io';
import { decodeImage, type RgbImage } from '@cnn/image';
import { UsageError } from './errors.js';

/** Largest size of a picture file, in bytes. */
const MAX_BYTES = 2 ** 28;

/** Reasons by the system's error codes. */
const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  ENOTDIR: 'a part of the path is a file, not a folder',
  EEXIST: 'a file of that name exists',
  EISDIR: 'it is a folder, not a file',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the disk is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'your share of the disk (quota) is full',
  EFBIG: 'the file would be larger than the system allows',
  EMFILE: 'too many files are open',
};

/** Gives the reason of a file error in words. */
export const reasonOf = (error: unknown): string => {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return reasons[code] ?? message;
};

/**
 * Reads a picture, upright by its EXIF orientation: a file, a URL, or `-` for the standard input.
 * @throws Error if it cannot be read, FileFormatError if it is no picture.
 */
export async function readPicture(source: string, signal?: AbortSignal): Promise<RgbImage> {
  return decodeImage(await bytesOf(await openPicture(source, signal), signal), { upright: true, signal });
}

/**
 * Checks that a picture exists if it is a local file; reads nothing.
 * @throws Error with the reason.
 */
export async function requirePicture(source: string): Promise<void> {
  if (source === '-') return;
  try {
    const path = pathOf(source);
    if (path !== undefined && (await stat(path)).isDirectory())
      throw new Error('it is a folder; name the pictures in it, such as folder/*.jpg');
  } catch (error) {
    throw new Error(reasonOf(error));
  }
}

/**
 * Checks that an existing file of an option can be read; reads nothing.
 * @throws UsageError that names the option and the path.
 */
export async function requireReadable(flag: string, path: string): Promise<void> {
  try {
    if ((await stat(path)).isDirectory()) throw new Error('it is a folder; name the file in it');
    await access(path, constants.R_OK);
  } catch (error) {
    throw new UsageError(`Cannot read ${flag} ${path}: ${reasonOf(error)}.`);
  }
}

/**
 * Checks that results can be written to paths as far as that shows before there are any: none is a folder.
 * @param paths - by option, such as `--html`; undefined ones are skipped.
 * @throws UsageError that names the option and the path.
 */
export async function requireResultPaths(paths: Readonly<Record<string, string | undefined>>): Promise<void> {
  for (const [flag, path] of Object.entries(paths)) {
    if (path === undefined) continue;
    const found = await stat(path).catch(() => undefined);
    if (found?.isDirectory())
      throw new UsageError(`Cannot write ${flag} ${path}: it is a folder; add the name of a file.`);
  }
}

/** Gives the path of a written result for a message, with a note if it replaced a file. */
export const writtenTo = (path: string, replaced: boolean): string =>
  `${printable(path)}${replaced ? ' (replaced)' : ''}`;

/** Gives the file name of a picture without folder and extension; `picture` if it has no name. */
export function nameOfPicture(source: string): string {
  if (source === '-' || /^\s*data:/i.test(source)) return 'picture';
  const file = basename(pathOf(source) ?? decoded(new URL(source).pathname));
  return basename(file, extname(file)) || 'picture';
}

/** Decodes the %-sequences of a URL's path; a path with a stray % stays. */
function decoded(path: string): string {
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}

async function openPicture(source: string, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  if (source === '-') return signal ? addAbortSignal(signal, process.stdin) : process.stdin;
  await requirePicture(source);
  const path = pathOf(source);
  if (path === undefined) {
    const { ok, status, body } = await fetch(source, { signal }).catch((error: Error) => {
      signal?.throwIfAborted();
      const { code, message } = (error.cause ?? error) as NodeJS.ErrnoException;
      throw new Error(`it could not be fetched (${code ?? message})`);
    });
    if (!ok || !body) throw new Error(`the server answered ${status}; check the address`);
    return body;
  }
  return createReadStream(path, { signal });
}

async function bytesOf(parts: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  let length = 0;
  for await (const part of parts) {
    signal?.throwIfAborted();
    length += part.length;
    if (length > MAX_BYTES)
      throw new Error(`it is larger than ${MAX_BYTES >> 20} MiB, the limit for a picture`);
    all.push(part);
  }
  return Buffer.concat(all);
}

/** Gives the target of a symbolic link whose target does not exist; undefined for anything else. */
function danglingTarget(path: string): string | undefined {
  try {
    return existsSync(path) ? undefined : readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** Makes a folder for results if there is none. @throws Error with the path and what to do. */
export const makeResultFolder = (path: string): Promise<void> =>
  makeFolder(path).catch((error: unknown) => {
    // The parent folders exist at this point, so ENOENT means that the file system allows no new ones.
    const { code } = error as NodeJS.ErrnoException;
    const target = danglingTarget(path);
    if (target)
      throw new Error(
        `Cannot make the folder ${path}: it is a link to ${target}, which does not exist. Make that folder, or give another path.`,
        { cause: error },
      );
    const reason = code === 'ENOENT' ? 'the system allows no new folders there' : reasonOf(error);
    throw new Error(`Cannot make the folder ${path}: ${reason}. Give another path.`, { cause: error });
  });

/**
 * Writes a result, completely or not at all, and makes its folder if there is none.
 * @returns true if it replaced a file.
 * @throws Error with the path and what to do.
 */
export async function writeResult(path: string, content: Uint8Array | string): Promise<boolean> {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  const replaces = existsSync(path);
  await makeResultFolder(dirname(path));
  try {
    await writeAtomically(path, bytes);
    return replaces;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const full = code === 'ENOSPC' || code === 'EDQUOT';
    throw new Error(
      `Cannot write ${path}: ${reasonOf(error)}. ${full ? 'Make room, or give a path on another disk.' : 'Give another path.'}`,
      { cause: error },
    );
  }
}
