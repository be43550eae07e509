/** Reads the operands of a pickle: numbers, byte runs and texts, never beyond the end or the limit. */
import { FileFormatError } from '../errors.js';
import { type Limits, withinLimit } from './limits.js';

/** A place in a pickle that moves on as operands are taken. */
export interface PickleBytes {
  /** Where the next byte is. */
  position(): number;
  /** An error at the instruction that is being read. */
  fail(reason: string): never;
  /** The next instruction; errors name its place until the one after it. */
  instruction(): number;
  u8(): number;
  u16(): number;
  i32(): number;
  u32(): number;
  /** A length of eight bytes; one beyond 2^53 is rounded, and beyond every end anyway. */
  u64(): number;
  f64(): number;
  raw(count: number): Uint8Array;
  utf8(count: number): string;
  latin1(count: number): string;
  /** Whole number of so many bytes, two's complement, low byte first; rounded beyond 2^53. */
  long(count: number): number;
  /** UTF-8 text up to the next line feed. */
  line(): string;
  /** Text up to the next line feed, a character for each byte. */
  latin1Line(): string;
  /** A number written in digits up to the next line feed. */
  decimal(): number;
}

/** Starts at `start`; no byte beyond `maxHeaderBytes` from there is read. */
export function pickleBytes(bytes: Uint8Array, start: number, limits: Limits): PickleBytes {
  const format = 'pickle';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let at = start;
  let instructionAt = start;

  const fail = (reason: string): never => {
    throw new FileFormatError(format, reason, instructionAt);
  };
  /** Moves on by `count` bytes and gives where they start. */
  const take = (count: number): number => {
    if (at + count > bytes.length) fail(`it ends in the middle of a value of ${count} bytes`);
    withinLimit(format, limits, 'maxHeaderBytes', at + count - start, instructionAt);
    const from = at;
    at += count;
    return from;
  };
  const raw = (count: number): Uint8Array => {
    const from = take(count);
    return bytes.subarray(from, from + count);
  };
  const decode = (part: Uint8Array): string => {
    try {
      return decoder.decode(part);
    } catch {
      return fail('it holds a text that is not UTF-8');
    }
  };
  const rawLine = (): Uint8Array => {
    const window = bytes.subarray(at, Math.min(bytes.length, at + limits.maxHeaderBytes));
    const length = window.indexOf(10);
    if (length < 0) fail('it ends in the middle of a line');
    const part = raw(length);
    take(1);
    return part;
  };
  const line = (): string => decode(rawLine());
  const u8 = (): number => view.getUint8(take(1));
  return {
    position: () => at,
    fail,
    instruction() {
      instructionAt = at;
      return u8();
    },
    u8,
    u16: () => view.getUint16(take(2), true),
    i32: () => view.getInt32(take(4), true),
    u32: () => view.getUint32(take(4), true),
    u64: () => Number(view.getBigUint64(take(8), true)),
    f64: () => view.getFloat64(take(8), false),
    raw,
    utf8: (count) => decode(raw(count)),
    latin1: (count) => latin1(raw(count)),
    long(count) {
      if (count > 64) fail(`it holds a whole number of ${count} bytes`);
      const part = raw(count);
      let value = 0n;
      for (let i = count - 1; i >= 0; i--) value = (value << 8n) | BigInt(part[i]!);
      if (count > 0 && part[count - 1]! & 0x80) value -= 1n << BigInt(8 * count);
      return Number(value);
    },
    line,
    latin1Line: () => latin1(rawLine()),
    decimal() {
      const digits = line();
      const special = { inf: Number.POSITIVE_INFINITY, '-inf': Number.NEGATIVE_INFINITY, nan: Number.NaN };
      if (digits === 'inf' || digits === '-inf' || digits === 'nan') return special[digits];
      // No two parts can match the same digits: a line of 16 MB that is no number fails at once.
      if (!/^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?L?$/i.test(digits))
        fail(`'${digits.slice(0, 40)}' is not a number`);
      return Number(digits.replace(/L$/, ''));
    },
  };
}

const latin1 = (bytes: Uint8Array): string => Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
