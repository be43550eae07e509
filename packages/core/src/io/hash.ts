/** SHA-256 of a file: in Node updated as it is read, in a browser computed at the end. */
import { FileFormatError } from '../errors.js';
import { builtin } from '../platform.js';
import { timeSlices } from '../yield.js';
import { utf8Bytes } from './text.js';

/** A hash being computed. */
export interface Hash {
  update(part: Uint8Array): void;
  /** Gives 64 hexadecimal digits. `whole` is all parts in a row: Web Crypto cannot hash part by part. */
  digest(whole: Uint8Array): Promise<string>;
}

/** Starts a SHA-256. */
export function sha256(): Hash {
  const node = builtin<typeof import('node:crypto')>('node:crypto')?.createHash('sha256');
  if (node)
    return { update: (part) => void node.update(part), digest: () => Promise.resolve(node.digest('hex')) };
  return { update: () => undefined, digest: async (whole) => hexadecimal(await subtleDigest(whole)) };
}

/** Bytes hashed between time checks: 4 MiB take about 5 ms. */
const STRIDE = 1 << 22;

/** Computes the SHA-256 of bytes in hexadecimal digits. @param signal - checked every few milliseconds in Node. */
export async function sha256Of(bytes: Uint8Array, signal?: AbortSignal): Promise<string> {
  const hash = sha256();
  const sliced = timeSlices(signal);
  for (let at = 0; at < bytes.length; at += STRIDE) {
    hash.update(bytes.subarray(at, at + STRIDE));
    await sliced();
  }
  return hash.digest(bytes);
}

/** Computes the SHA-256 of a text's UTF-8, in hexadecimal digits. */
export const sha256OfText = (text: string): Promise<string> => sha256Of(utf8Bytes(text));

async function subtleDigest(bytes: Uint8Array): Promise<Uint8Array> {
  if (!globalThis.crypto?.subtle)
    throw new Error(
      'The SHA-256 cannot be checked: this page has no crypto.subtle. Serve it over https, or leave the sha256 option out.',
    );
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
}

const hexadecimal = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** A file with another hash than expected. */
export class HashMismatch extends FileFormatError {}

/**
 * Throws a HashMismatch unless the hash starts with the expected digits.
 * @param actual - all 64 digits.
 * @param expected - all 64 digits, or the first ones, as publishers put them in file names.
 */
export function requireHash(actual: string, expected: string): void {
  if (!actual.startsWith(expected.toLowerCase()))
    throw new HashMismatch(
      'weight',
      `its SHA-256 starts with ${actual.slice(0, expected.length)}, expected ${expected.toLowerCase()}. It is damaged or another file; delete it and fetch it again.`,
    );
}
