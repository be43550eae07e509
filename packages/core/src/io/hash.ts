/** SHA-256 of a file: in Node updated as it is read, in a browser computed at the end. */
import { FileFormatError } from '../errors.js';
import { builtin } from '../platform.js';
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

/** Computes the SHA-256 of a text's UTF-8, in hexadecimal digits. */
export const sha256OfText = (text: string): Promise<string> => {
  const bytes = utf8Bytes(text);
  const hash = sha256();
  hash.update(bytes);
  return hash.digest(bytes);
};

async function subtleDigest(bytes: Uint8Array): Promise<Uint8Array> {
  if (!globalThis.crypto?.subtle)
    throw new Error(
      'The SHA-256 cannot be checked: this page has no crypto.subtle. Serve it over https, or leave the sha256 option out.',
    );
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
}

const hexadecimal = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** Throws a TypeError unless the option is 6 to 64 hexadecimal digits. Called before any byte is read. */
export function requireHashOption(expected: string | undefined): void {
  if (expected !== undefined && !/^[0-9a-f]{6,64}$/i.test(expected))
    throw new TypeError(`The sha256 option is 6 to 64 hexadecimal digits, got '${expected}'.`);
}

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
