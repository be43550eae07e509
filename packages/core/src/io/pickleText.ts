/**
 * Decodes the texts of a pickle in slices: a text may have megabytes, and with an escape for each character it takes
 * seconds.
 */
import type { timeSlices } from '../yield.js';
import type { PickleBytes } from './pickleBytes.js';
import { textDecoder } from './text.js';

/**
 * Encodings of texts. Protocol 0 writes lines of Latin-1: `escaped` ones of Python 3 have `\u20ac` and `\U0001f600` for
 * other characters, `quoted` ones of Python 2 the escapes of its source.
 */
export type Encoding = 'utf8' | 'latin1' | 'escaped' | 'quoted';

/** A text as it is in the file. */
export interface EncodedText {
  readonly bytes: Uint8Array;
  readonly encoding: Encoding;
}

/** Bytes decoded between two looks at the clock: about a millisecond. */
const SLICE = 2 ** 16;

/** Bytes of the longest text; V8's longest string has 2^29 - 24 characters. */
export const MAX_TEXT = 2 ** 28;

/** Bytes of a short text, which is decoded as Latin-1 if it is ASCII: a TextDecoder takes a microsecond to start. */
const SHORT = 64;

/** Gives a function that decodes texts. @param fail - throws the error of a broken text. */
export function textReader(
  fail: PickleBytes['fail'],
  sliced: ReturnType<typeof timeSlices>,
): (text: EncodedText) => Promise<string> {
  // The mark U+FEFF at the start of a text belongs to it.
  const decoder = textDecoder({ fatal: true, ignoreBOM: true });
  const codes = new Uint16Array(SLICE + 1);
  /** Decodes text from the byte `from` to `to`, or to the end of an escape there; gives the text and its end. */
  const slice = ({ bytes, encoding }: EncodedText, from: number, to: number): readonly [string, number] => {
    if (encoding === 'latin1') return [latin1(bytes.subarray(from, to)), to];
    if (encoding === 'utf8') {
      try {
        return [decoder.decode(bytes.subarray(from, to), { stream: to < bytes.length }), to];
      } catch {
        return fail('it holds a text that is not UTF-8');
      }
    }
    const escapeAt = encoding === 'escaped' ? unicodeEscape : sourceEscape;
    let count = 0;
    let at = from;
    while (at < to) {
      // Of two backslashes, the second starts no escape.
      if (encoding === 'escaped' && bytes[at] === BACKSLASH && bytes[at + 1] === BACKSLASH)
        codes[count++] = bytes[at++]!;
      else if (bytes[at] === BACKSLASH) {
        const { code, length } = escapeAt(bytes, at);
        if (!(code <= 0x10ffff)) fail('it holds a text with a broken escape');
        if (code > 0xffff) codes[count++] = 0xd7c0 + (code >> 10);
        codes[count++] = code > 0xffff ? 0xdc00 + (code & 0x3ff) : code;
        at += length;
        continue;
      }
      codes[count++] = bytes[at++]!;
    }
    return [latin1(codes.subarray(0, count)), at];
  };
  return async (text) => {
    const { length } = text.bytes;
    if (length > MAX_TEXT)
      fail(
        `it holds a text of ${length.toLocaleString('en-US')} bytes; texts of up to ${MAX_TEXT.toLocaleString('en-US')} are read`,
      );
    if (length <= SHORT && text.encoding === 'utf8' && text.bytes.every((byte) => byte < 128))
      return latin1(text.bytes);
    let result = '';
    for (let at = 0; at < length; ) {
      const [part, end] = slice(text, at, Math.min(length, at + SLICE));
      result += part;
      at = end;
      await sliced();
    }
    return result;
  };
}

/** Makes a text of character codes, as many at a time as every engine's stack holds. */
function latin1(codes: Uint8Array | Uint16Array): string {
  let text = '';
  for (let at = 0; at < codes.length; at += 8192)
    text += Reflect.apply(String.fromCharCode, undefined, codes.subarray(at, at + 8192));
  return text;
}

const BACKSLASH = 0x5c;

/** An escape: the code of its character, NaN if it is broken, and its length in bytes. */
interface Escape {
  readonly code: number;
  readonly length: number;
}

/** Reads hexadecimal digits; NaN if there are fewer. */
function hexadecimal(bytes: Uint8Array, from: number, count: number): number {
  let value = 0;
  for (let at = from; at < from + count; at++) {
    const byte = bytes[at] ?? 0;
    const letter = byte | 0x20;
    if (byte >= 0x30 && byte <= 0x39) value = 16 * value + byte - 0x30;
    else if (letter >= 0x61 && letter <= 0x66) value = 16 * value + letter - 0x57;
    else return Number.NaN;
  }
  return value;
}

/** Reads `\u` with 4 digits or `\U` with 8; any other backslash stands for itself, as in Python's raw-unicode-escape. */
function unicodeEscape(bytes: Uint8Array, at: number): Escape {
  const kind = bytes[at + 1];
  const digits = kind === 0x75 ? 4 : kind === 0x55 ? 8 : 0;
  if (digits === 0) return { code: BACKSLASH, length: 1 };
  return { code: hexadecimal(bytes, at + 2, digits), length: 2 + digits };
}

/** Codes of the escapes of one letter in Python's source. */
const letters: ReadonlyMap<number, number> = new Map([
  [0x61, 7],
  [0x62, 8],
  [0x74, 9],
  [0x6e, 10],
  [0x76, 11],
  [0x66, 12],
  [0x72, 13],
  [0x22, 0x22],
  [0x27, 0x27],
  [BACKSLASH, BACKSLASH],
]);

/** Reads an escape of Python's source: a letter, `\x` with 2 digits, up to 3 octal digits; else a backslash. */
function sourceEscape(bytes: Uint8Array, at: number): Escape {
  const kind = bytes[at + 1] ?? 0;
  if (kind === 0x78) return { code: hexadecimal(bytes, at + 2, 2), length: 4 };
  let code = 0;
  let length = 1;
  for (; length < 4 && bytes[at + length]! >= 0x30 && bytes[at + length]! <= 0x37; length++)
    code = 8 * code + bytes[at + length]! - 0x30;
  if (length > 1) return { code: code & 255, length };
  const letter = letters.get(kind);
  return letter === undefined ? { code: BACKSLASH, length: 1 } : { code: letter, length: 2 };
}
