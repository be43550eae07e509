/** SHA-256 of a file, while it is read in Node, at its end in a browser. */
import { FileFormatError } from '../errors.js';
import { builtin } from './node.js';

/** A hash in the making. */
export interface Hash {
  update(part: Uint8Array): void;
  /** Hexadecimal digits; `whole` is what was fed in, for engines that hash in one go. */
  digest(whole: Uint8Array): Promise<string>;
}

/** Starts a SHA-256. */
export function sha256(): Hash {
  const node = builtin('node:crypto')?.createHash('sha256');
  if (node)
    return { update: (part) => void node.update(part), digest: () => Promise.resolve(node.digest('hex')) };
  return {
    update: () => undefined,
    async digest(whole) {
      const bytes = new Uint8Array(await crypto.subtle.digest('SHA-256', whole as Uint8Array<ArrayBuffer>));
      return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
    },
  };
}

/** Compares with the digits expected: all 64, or the first ones that a publisher gives. */
export function requireHash(actual: string, expected: string, what: string): void {
  if (!/^[0-9a-f]{6,64}$/i.test(expected))
    throw new TypeError(`A SHA-256 is given as 6 to 64 hexadecimal digits, got '${expected}'.`);
  if (!actual.startsWith(expected.toLowerCase()))
    throw new FileFormatError(
      'weight',
      `the SHA-256 of ${what} starts with ${actual.slice(0, expected.length)}, expected ${expected}. The file is damaged or another one; delete it and fetch it again.`,
    );
}
