/** Values from outside, which may be of another realm: a frame, Node's `vm`, a test environment. */

/** Name of a value's type: 'Uint8Array', 'String', 'Undefined'. Unlike `instanceof`, it holds in every realm. */
export const typeOf = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1);

/**
 * Returns the bytes of a typed array, a DataView or an ArrayBuffer; does not copy them.
 * @throws TypeError for other values.
 */
export function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  const type = typeOf(value);
  if (type === 'ArrayBuffer' || type === 'SharedArrayBuffer') return new Uint8Array(value as ArrayBuffer);
  throw new TypeError(
    `A picture file is given as bytes (Uint8Array or ArrayBuffer), got a value of type ${type}. ${
      type === 'Blob' || type === 'File' || type === 'Response'
        ? 'Read it with arrayBuffer() first.'
        : 'Read the file first.'
    }`,
  );
}
