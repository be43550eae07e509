/** Bytes from outside, which may be of another realm: a frame, Node's `vm`, a test environment. */
import { kindOf, bytesOf as viewOf } from '@cnn/core/io';

/**
 * Returns the bytes of a typed array, a DataView or an ArrayBuffer; does not copy them.
 * @throws TypeError for other values.
 */
export function bytesOf(value: unknown): Uint8Array {
  const bytes = viewOf(value);
  if (bytes) return bytes;
  const kind = kindOf(value);
  throw new TypeError(
    `A picture file is given as bytes (Uint8Array or ArrayBuffer), got a value of type ${kind}. ${
      kind === 'Blob' || kind === 'File' || kind === 'Response'
        ? 'Read it with arrayBuffer() first.'
        : 'Read the file first.'
    }`,
  );
}
