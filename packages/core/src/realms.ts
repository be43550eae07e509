/**
 * Recognises values from outside by what they are, not by their class: an array of another realm (an iframe, Node's
 * `vm`, Jest, jsdom) is no instance of this realm's `Float32Array`, though all operations accept it.
 */

import { excerpt } from './printable.js';

/** Names the kind of a value in any realm: 'Float32Array', 'ArrayBuffer', 'Blob', 'URL', 'Array', 'String'. */
export const kindOf = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1);

/** Describes a value for an error message: 'a Float64Array', 'a plain array', 'a promise (await it)', 'undefined'. */
export function describeValue(value: unknown): string {
  const kind = kindOf(value);
  if (kind === 'Promise') return 'a promise (await it)';
  if (kind === 'Array' || kind === 'Object') return `a plain ${kind.toLowerCase()}`;
  return value || value === '' ? `${/^[AEIO]/.test(kind) ? 'an' : 'a'} ${kind}` : String(value);
}

/** Shows a value in an error message: a number as it is, a text in quotes and cut, others by their kind. */
export const showValue = (value: unknown): string => {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' ? `'${excerpt(value)}'` : describeValue(value);
};

/** Gives the values of a Float32Array of any realm, not copied; undefined for everything else. */
export function floatsOf(value: unknown): Float32Array | undefined {
  if (value instanceof Float32Array) return value;
  if (!ArrayBuffer.isView(value) || kindOf(value) !== 'Float32Array') return undefined;
  return new Float32Array(value.buffer, value.byteOffset, value.byteLength / 4);
}

/**
 * Gives the bytes of an ArrayBuffer or of any view of one (Uint8Array, Buffer, DataView) of any realm as a plain
 * Uint8Array, not copied; undefined for everything else.
 */
export function bytesOf(value: unknown): Uint8Array | undefined {
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  const kind = kindOf(value);
  return kind === 'ArrayBuffer' || kind === 'SharedArrayBuffer'
    ? new Uint8Array(value as ArrayBuffer)
    : undefined;
}

/** True for a Blob or File of any realm. */
export const isBlob = (value: unknown): value is Blob => {
  const kind = kindOf(value);
  return kind === 'Blob' || kind === 'File';
};

/** True for a URL object of any realm. */
export const isUrl = (value: unknown): value is URL => kindOf(value) === 'URL';
