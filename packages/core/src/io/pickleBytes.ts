/**
 * Reads the opcodes and operands of a pickle from its bytes, never beyond the end of the file or the limit.
 */
import { FileFormatError } from '../errors.js';
import { type Limits, withinLimit } from './limits.js';
import { quote } from './quote.js';
import { textDecoder } from './text.js';

/** A cursor in a pickle. Every method but `position` and `fail` advances it. */
export interface PickleBytes {
  /** Gives the offset of the next byte in the file. */
  position(): number;
  /** Throws a FileFormatError at the offset of the current opcode. */
  fail(reason: string): never;
  /** Reads the next opcode, which becomes the current one. */
  opcode(): number;
  u8(): number;
  /** Reads 2 bytes, little-endian, as are `i32`, `u32` and `u64`. */
  u16(): number;
  i32(): number;
  u32(): number;
  /** Reads a length of 8 bytes. Beyond 2^53 it is rounded, and beyond the end of any file. */
  u64(): number;
  /** Reads a float64, big-endian as BINFLOAT has it. */
  f64(): number;
  /** Reads `count` bytes: a view of the file. */
  raw(count: number): Uint8Array;
  /** Reads an integer of `count` bytes, at most 64, little-endian two's complement; rounded beyond 2^53. */
  long(count: number): number;
  /** Reads a name or a number up to the next line feed: UTF-8 of at most 64 kB. */
  line(): string;
  /** Reads the bytes up to the next line feed: a view of the file. */
  rawLine(): Uint8Array;
  /** Reads a decimal number up to the next line feed. */
  decimal(): number;
}

/**
 * Size in bytes from which a text or byte string does not count towards `maxHeaderBytes`: it holds values (of
 * a numpy array), which the size of the file bounds.
 */
const PAYLOAD = 1 << 16;

/** Bytes of the longest line that is a name or a number. */
const MAX_LINE = 1 << 16;

/**
 * Makes a cursor.
 * @param start - offset of the pickle in the file. Reading more than `maxHeaderBytes` from there throws.
 */
export function pickleBytes(bytes: Uint8Array, start: number, limits: Limits): PickleBytes {
  const format = 'pickle';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const decoder = textDecoder({ fatal: true });
  let at = start;
  let opcodeAt = start;
  let payload = 0;

  const fail = (reason: string): never => {
    throw new FileFormatError(format, reason, opcodeAt);
  };
  /** Advances by `count` bytes and gives their offset. */
  const take = (count: number): number => {
    if (at + count > bytes.length) fail(`it ends in the middle of a value of ${count} bytes`);
    if (count >= PAYLOAD) payload += count;
    withinLimit(format, limits, 'maxHeaderBytes', at + count - start - payload, opcodeAt);
    const from = at;
    at += count;
    return from;
  };
  const raw = (count: number): Uint8Array => {
    const from = take(count);
    return bytes.subarray(from, from + count);
  };
  const rawLine = (most = Number.POSITIVE_INFINITY): Uint8Array => {
    const length = bytes.subarray(at, at + most + 1).indexOf(10);
    if (length < 0 && at + most < bytes.length)
      fail(
        `it has a line of more than ${most.toLocaleString('en-US')} bytes where a name or a number should be`,
      );
    if (length < 0) fail('it ends in the middle of a line');
    const part = raw(length);
    take(1);
    return part;
  };
  const line = (): string => {
    try {
      return decoder.decode(rawLine(MAX_LINE));
    } catch (error) {
      if (error instanceof FileFormatError) throw error;
      return fail('it holds a text that is not UTF-8');
    }
  };
  const u8 = (): number => view.getUint8(take(1));
  return {
    position: () => at,
    fail,
    opcode() {
      opcodeAt = at;
      return u8();
    },
    u8,
    u16: () => view.getUint16(take(2), true),
    i32: () => view.getInt32(take(4), true),
    u32: () => view.getUint32(take(4), true),
    u64: () => Number(view.getBigUint64(take(8), true)),
    f64: () => view.getFloat64(take(8), false),
    raw,
    long(count) {
      if (count > 64) fail(`it holds a whole number of ${count} bytes`);
      const part = raw(count);
      let value = 0n;
      for (let i = count - 1; i >= 0; i--) value = (value << 8n) | BigInt(part[i]!);
      if (count > 0 && part[count - 1]! & 0x80) value -= 1n << BigInt(8 * count);
      return Number(value);
    },
    line,
    rawLine: () => rawLine(),
    decimal() {
      const digits = line();
      const special = { inf: Number.POSITIVE_INFINITY, '-inf': Number.NEGATIVE_INFINITY, nan: Number.NaN };
      if (digits === 'inf' || digits === '-inf' || digits === 'nan') return special[digits];
      // No two parts of the expression match the same digits: a line of 16 MB fails without backtracking.
      if (!/^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?L?$/i.test(digits)) fail(`${quote(digits)} is not a number`);
      return Number(digits.replace(/L$/, ''));
    },
  };
}
