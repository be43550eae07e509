/** SHA-256 of a file, while it is read in Node, at its end in a browser. */
import { FileFormatError } from '../errors.js';
import { builtin } from '../platform.js';

/** A hash in the making. */
export interface Hash {
  update(part: Uint8Array): void;
  /** Hexadecimal digits; `whole` is what was fed in, for engines that hash in one go. */
  digest(whole: Uint8Array): Promise<string>;
}

/** Starts a SHA-256. */
export function sha256(): Hash {
  const node = builtin<typeof import('node:crypto')>('node:crypto')?.createHash('sha256');
  if (node)
    return { update: (part) => void node.update(part), digest: () => Promise.resolve(node.digest('hex')) };
  return { update: () => undefined, digest: async (whole) => hexadecimal(await subtleDigest(whole)) };
}

/** SHA-256 of a text in hexadecimal digits. */
export const sha256OfText = (text: string): Promise<string> => {
  const bytes = new TextEncoder().encode(text);
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

/** Throws a TypeError unless the option is 6 to 64 hexadecimal digits: known before a byte is read. */
export function requireHashOption(expected: string | undefined): void {
  if (expected !== undefined && !/^[0-9a-f]{6,64}$/i.test(expected))
    throw new TypeError(`The sha256 option is 6 to 64 hexadecimal digits, got '${expected}'.`);
}

/** A file of another hash than expected. */
export class HashMismatch extends FileFormatError {}

/** Compares with the digits expected: all 64, or the first ones that a publisher gives. */
export function requireHash(actual: string, expected: string): void {
  if (!actual.startsWith(expected.toLowerCase()))
    throw new HashMismatch(
      'weight',
      `its SHA-256 starts with ${actual.slice(0, expected.length)}, expected ${expected.toLowerCase()}. It is damaged or another file; delete it and fetch it again.`,
    );
}
