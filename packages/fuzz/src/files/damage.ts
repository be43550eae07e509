/** Random damage to bytes and numbers, the same for all formats. */
import { bytesOf } from '@cnn/testing/weightFiles';
import type { Draw } from '../draw.js';

/** Numbers that break readers: zero, one, and the limits of signed and unsigned integers. */
const extremes = [
  0n,
  1n,
  0x7fn,
  0x80n,
  0xffn,
  0xffffn,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];

/** Draws a number at or beside a limit of integers. */
export const extreme = (draw: Draw): bigint => draw.pick(extremes) + BigInt(draw.between(-2, 2));

/** Draws an unsigned integer of `width` bytes: an extreme one, or one near `value`. */
export const wrong = (draw: Draw, width: number, value = 0): number =>
  Number(BigInt.asUintN(8 * width, draw.chance(0.5) ? extreme(draw) : BigInt(value + draw.between(-9, 9))));

/** Draws a number of repetitions: few as a rule, since a file of thousands takes the time of thousands of files. */
export function repetitions(draw: Draw, most: number): number {
  const ceiling = draw.chance(0.97) ? 8 : draw.chance(0.95) ? 300 : most;
  return draw.between(1, Math.min(most, ceiling));
}

/** Draws bytes; beyond 4,096 they repeat. */
export function noise(draw: Draw, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  const block = Math.min(length, 4096);
  // Four bytes of each drawn number.
  for (let i = 0, word = 0; i < block; i++, word >>>= 8) {
    if (i % 4 === 0) word = draw.between(0, 0xffff_ffff);
    bytes[i] = word;
  }
  for (let at = block; at < length; at += block)
    bytes.set(bytes.subarray(0, Math.min(block, length - at)), at);
  return bytes;
}

/** Concatenates any number of byte arrays; as arguments of a function they could be too many. */
export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

/** Draws an index of a list or of bytes; 0 for empty ones. */
export const indexOf = (list: { readonly length: number }, draw: Draw): number =>
  draw.between(0, Math.max(0, list.length - 1));

/** Draws a number of copies of an item of `size` bytes, 2 MB together at most. */
export const copies = (draw: Draw, size: number): number =>
  repetitions(draw, Math.max(1, Math.min(20_000, Math.floor(2e6 / (size + 1)))));

/** Removes, repeats or moves items of a list, in place. @param sizeOf - gives the size of an item in bytes. */
export function rearrange<T>(list: T[], draw: Draw, sizeOf: (item: T) => number): void {
  const [from, to] = [indexOf(list, draw), indexOf(list, draw)];
  const item = list[from];
  const choice = draw.between(0, 2);
  if (choice === 0) list.splice(from, draw.between(1, 3));
  else if (choice === 1) list.splice(to, 0, ...list.splice(from, 1));
  else if (item !== undefined) list.splice(to, 0, ...Array<T>(copies(draw, sizeOf(item))).fill(item));
}

/** Replaces an item of a list by a changed one. The item itself stays: it may be in the list more than once. */
export function change<T>(list: T[], draw: Draw, by: (item: T) => T): void {
  const index = indexOf(list, draw);
  const item = list[index];
  if (item !== undefined) list[index] = by(item);
}

/** Texts in the place of a digit. */
const numerals = ['0', '-1', '1e9', '0.5', '4294967296', '99999999999999999999', '1e400', 'null', '[[[['];

const sorted = (bytes: Uint8Array, draw: Draw): readonly [number, number] => {
  const [a, b] = [indexOf(bytes, draw), indexOf(bytes, draw)];
  return [Math.min(a, b), Math.max(a, b)];
};

const mutations: readonly ((bytes: Uint8Array, draw: Draw) => Uint8Array)[] = [
  // Replaces a byte, or flips a bit.
  (bytes, draw) => bytes.with(indexOf(bytes, draw), draw.between(0, 255)),
  (bytes, draw) => {
    const index = indexOf(bytes, draw);
    return bytes.with(index, bytes[index]! ^ (1 << draw.between(0, 7)));
  },
  // Replaces a length, offset or count, in either byte order.
  (bytes, draw) => {
    const width = draw.pick([1, 2, 4, 8]);
    if (bytes.length < width) return bytes;
    const copy = bytes.slice();
    const start = draw.between(0, bytes.length - width);
    const value = extreme(draw);
    const little = draw.chance(0.7);
    for (let i = 0; i < width; i++)
      copy[start + i] = Number(BigInt.asUintN(8, value >> BigInt(8 * (little ? i : width - 1 - i))));
    return copy;
  },
  // Replaces a digit in text.
  (bytes, draw) => {
    const digits = [...bytes.keys()].filter((i) => bytes[i]! >= 0x30 && bytes[i]! <= 0x39);
    if (digits.length === 0) return bytes;
    const index = draw.pick(digits);
    return bytesOf(bytes.subarray(0, index), draw.pick(numerals), bytes.subarray(index + 1));
  },
  // Cuts the file, removes a part, repeats a part, or overwrites bytes with others of the file.
  (bytes, draw) => bytes.slice(0, indexOf(bytes, draw)),
  (bytes, draw) => {
    const [from, to] = sorted(bytes, draw);
    return bytesOf(bytes.subarray(0, from), bytes.subarray(to));
  },
  (bytes, draw) => {
    const [from, to] = sorted(bytes, draw);
    const part = bytes.subarray(from, Math.min(to, from + 2000));
    const copies = Array<Uint8Array>(draw.between(1, 4)).fill(part);
    return bytesOf(bytes.subarray(0, to), ...copies, bytes.subarray(to));
  },
  (bytes, draw) => {
    const copy = bytes.slice();
    copy.copyWithin(indexOf(bytes, draw), indexOf(bytes, draw), indexOf(bytes, draw) + 16);
    return copy;
  },
  // Appends bytes.
  (bytes, draw) => bytesOf(bytes, new Uint8Array(draw.between(1, 64)).fill(draw.between(0, 255))),
];

/** Gives bytes with one change that knows nothing of their format. */
export const damagedBytes = (bytes: Uint8Array, draw: Draw): Uint8Array =>
  bytes.length === 0 ? bytes : draw.pick(mutations)(bytes, draw);

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** Computes the CRC-32 of PNG, gzip and zip. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = crcTable[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** Encodes an unsigned big-endian integer of `width` bytes. */
export function bigEndian(value: number, width: number): number[] {
  const bytes: number[] = [];
  for (let i = width - 1; i >= 0; i--) bytes.push(Math.floor(value / 256 ** i) % 256);
  return bytes;
}

/**
 * Gives texts of array indices that V8 before 13 hashes to one bucket of any Map of up to 100,000 entries: they are
 * multiples of 65,536.
 */
export const collidingTexts = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => String(65_536 * (i % 65_535)) + (i < 65_535 ? '' : ' '));

/** Texts of one length from 16,384 characters on, which V8 hashes by their length alone. */
export const longTexts = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${'module.'.repeat(2400)}${String(i).padStart(6, '0')}`);
