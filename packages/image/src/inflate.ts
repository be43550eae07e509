/**
 * Inflates a zlib stream (RFC 1950, RFC 1951) piece by piece: a reader gets exactly the bytes it needs, so that a small
 * file which inflates to gigabytes costs nothing. This is our own code because none of these keeps the promises of
 * `inflate.test.ts` at its speed (31 ms for 3 MB of noisy pixels in 2.4 MB):
 * - fflate 0.8, which fast-png brings along, bounds its output only by the size of the pieces it is given: it takes 68 ms
 *   in pieces of 1 kB and 586 ms in pieces of 64 bytes. It never compares the checksum, does not tell where the stream
 *   ends, and accepts incomplete Huffman codes and stored blocks with a wrong length.
 * - DecompressionStream takes bytes after the end and a missing checksum for errors, by its standard; Pillow accepts both.
 * - pako 3.0 passes the tests, but takes 44 ms, 8 kB more (gzip), and would be one more dependency.
 */

/** Largest number of bytes that deflate makes of one. */
export const MAX_EXPANSION = 1032;

/** Bytes of history that a match may reach back. */
const WINDOW = 32_768;
/** Bits of a code that the first table decodes; longer codes are counted through. */
const FAST_BITS = 10;
/** Largest number of bits in a code. */
const MAX_BITS = 15;

/** A canonical Huffman code. */
interface Code {
  /** By the next {@link FAST_BITS} bits: symbol * 16 + length, 0 for longer codes. */
  readonly fast: Uint16Array;
  /** Number of codes by length. */
  readonly counts: Uint16Array;
  /** Symbols in the order of their codes. */
  readonly symbols: Uint16Array;
}

/** Lengths of matches by symbol - 257, and the extra bits that are added to them. */
const lengthBase = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
  227, 258,
];
const lengthExtra = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
/** Distances by symbol, and their extra bits. */
const distanceBase = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
  6145, 8193, 12289, 16385, 24577,
];
const distanceExtra = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
];
/** Order in which the lengths of the code for code lengths are stored. */
const lengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** Stream data that no compressor writes; the message is the end of a sentence. */
export class InflateError extends Error {
  override readonly name = 'InflateError';
}

const fail = (reason: string): never => {
  throw new InflateError(reason);
};

/** Thrown within {@link Inflater} when the input ends. */
const CUT = Symbol('the input ends');

/**
 * Builds a code from the lengths of its symbols' codes.
 * @param mayBeIncomplete - allows a code of a single symbol, as zlib does for distances.
 */
function codeOf(lengths: Uint8Array, mayBeIncomplete: boolean): Code {
  const counts = new Uint16Array(MAX_BITS + 1);
  for (const length of lengths) counts[length]!++;
  counts[0] = 0;
  let left = 1;
  const starts = new Uint16Array(MAX_BITS + 2);
  const firstCodes = new Uint16Array(MAX_BITS + 2);
  for (let length = 1; length <= MAX_BITS; length++) {
    left = 2 * left - counts[length]!;
    if (left < 0) fail('a Huffman code in it has too many symbols');
    starts[length + 1] = starts[length]! + counts[length]!;
    firstCodes[length + 1] = (firstCodes[length]! + counts[length]!) << 1;
  }
  const total = starts[MAX_BITS + 1]!;
  if (left > 0 && total > 0 && !(mayBeIncomplete && total === 1 && counts[1] === 1))
    fail('a Huffman code in it is incomplete');
  const symbols = new Uint16Array(total);
  const fast = new Uint16Array(1 << FAST_BITS);
  const [next, nextCodes] = [starts.slice(), firstCodes.slice()];
  for (const [symbol, length] of lengths.entries()) {
    if (length === 0) continue;
    symbols[next[length]!++] = symbol;
    const code = nextCodes[length]!++;
    if (length > FAST_BITS) continue;
    let reversed = 0;
    for (let bit = 0; bit < length; bit++) reversed |= ((code >> bit) & 1) << (length - 1 - bit);
    for (let at = reversed; at < fast.length; at += 1 << length) fast[at] = symbol * 16 + length;
  }
  return { fast, counts, symbols };
}

/** The codes of blocks that store none. */
let fixedCodes: readonly [Code, Code] | undefined;

function fixed(): readonly [Code, Code] {
  fixedCodes ??= [
    codeOf(
      Uint8Array.from({ length: 288 }, (_, symbol) =>
        symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8,
      ),
      false,
    ),
    codeOf(new Uint8Array(32).fill(5), false),
  ];
  return fixedCodes;
}

/** Position in a stream. */
type State = 'between blocks' | 'stored block' | 'coded block' | 'end';

/** Inflates one zlib stream. */
export class Inflater {
  readonly #input: Uint8Array;
  /** Offset of the next byte of the input. */
  #next = 0;
  /** Bits that are read ahead, the next one lowest, and their number. */
  #bits = 0;
  #bitCount = 0;
  #state: State = 'between blocks';
  #isLast = false;
  /** Bytes that a stored block still has. */
  #stored = 0;
  #codes: readonly [Code, Code] | undefined;
  /** Bytes that a match still copies, and how far back they are. */
  #copies = 0;
  #distance = 0;
  readonly #window = new Uint8Array(WINDOW);
  /** Bytes that are inflated so far. */
  #total = 0;
  /** Bytes that the current call of {@link read} has written. */
  #written = 0;
  /** The two sums of the Adler-32 checksum. */
  #low = 1;
  #high = 0;

  /** @throws InflateError if the input does not begin with zlib's header. */
  constructor(input: Uint8Array) {
    this.#input = input;
    const [method, flags] = [input[0] ?? 0, input[1] ?? 0];
    if ((method & 15) !== 8 || method >> 4 > 7 || (method * 256 + flags) % 31 !== 0 || (flags & 32) !== 0)
      fail('it does not begin with a zlib header');
    this.#next = 2;
  }

  /**
   * Inflates into `target`.
   * @returns the number of bytes; less than the target's length if the stream or the input ends.
   * @throws InflateError if the stream is damaged.
   */
  read(target: Uint8Array): number {
    this.#written = 0;
    try {
      while (this.#written < target.length && this.#state !== 'end') {
        if (this.#state === 'between blocks') this.#openBlock();
        else if (this.#state === 'stored block') this.#copyStored(target);
        else this.#decode(target);
      }
    } catch (error) {
      if (error !== CUT) throw error;
    }
    this.#addToChecksum(target.subarray(0, this.#written));
    return this.#written;
  }

  /**
   * Checks the checksum if the stream ends here. A stream that goes on, and one that is cut before its checksum, is
   * accepted, as Pillow does when it has all rows.
   * @throws InflateError for a wrong checksum.
   */
  finish(): void {
    if (this.read(new Uint8Array(1)) > 0 || this.#state !== 'end') return;
    // The last block ends within a byte; whole bytes that were read ahead belong to the checksum.
    const at = this.#next - (this.#bitCount >> 3);
    const { buffer, byteOffset, length } = this.#input;
    if (at + 4 > length) return;
    if (new DataView(buffer, byteOffset, length).getUint32(at) !== this.#high * 65_536 + this.#low)
      fail('its checksum is wrong');
  }

  #addToChecksum(bytes: Uint8Array): void {
    let [low, high] = [this.#low, this.#high];
    for (let at = 0; at < bytes.length; ) {
      // The sums of this many bytes stay far below 2^53, and below 2^31, where they are fast.
      const end = Math.min(bytes.length, at + 2654);
      for (; at < end; at++) {
        low += bytes[at]!;
        high += low;
      }
      low %= 65_521;
      high %= 65_521;
    }
    [this.#low, this.#high] = [low, high];
  }

  /** Takes up to 16 bits. Throws {@link CUT} if there are fewer. */
  #take(count: number): number {
    while (this.#bitCount < count) {
      if (this.#next >= this.#input.length) throw CUT;
      this.#bits |= this.#input[this.#next++]! << this.#bitCount;
      this.#bitCount += 8;
    }
    const value = this.#bits & ((1 << count) - 1);
    this.#bits >>>= count;
    this.#bitCount -= count;
    return value;
  }

  /** Takes a symbol of a code. Throws {@link CUT} if the input ends within it. */
  #symbol({ fast, counts, symbols }: Code): number {
    while (this.#bitCount < MAX_BITS && this.#next < this.#input.length) {
      this.#bits |= this.#input[this.#next++]! << this.#bitCount;
      this.#bitCount += 8;
    }
    const entry = fast[this.#bits & ((1 << FAST_BITS) - 1)]!;
    let [length, symbol] = [entry & 15, entry >> 4];
    if (entry === 0) {
      // Codes of each length follow those of the length before, so that counting finds the symbol.
      let [code, first, index] = [0, 0, 0];
      for (length = 1; ; length++) {
        if (length > MAX_BITS) {
          if (this.#bitCount < MAX_BITS) throw CUT;
          fail('a code in it has no symbol');
        }
        code |= (this.#bits >> (length - 1)) & 1;
        const count = counts[length]!;
        if (code - first < count) {
          symbol = symbols[index + code - first]!;
          break;
        }
        index += count;
        first = (first + count) << 1;
        code <<= 1;
      }
    }
    if (length > this.#bitCount) throw CUT;
    this.#bits >>>= length;
    this.#bitCount -= length;
    return symbol;
  }

  #openBlock(): void {
    if (this.#isLast) {
      this.#state = 'end';
      return;
    }
    this.#isLast = this.#take(1) === 1;
    const kind = this.#take(2);
    if (kind === 3) fail('a block in it is of an unknown kind');
    if (kind === 0) {
      this.#take(this.#bitCount & 7);
      const [length, complement] = [this.#take(16), this.#take(16)];
      if ((length ^ complement) !== 0xffff) fail('the length of a block in it is wrong');
      this.#stored = length;
      this.#state = 'stored block';
      return;
    }
    this.#codes = kind === 1 ? fixed() : this.#readCodes();
    this.#state = 'coded block';
  }

  /** Reads the codes of a block for literals and lengths, and for distances. */
  #readCodes(): readonly [Code, Code] {
    const [literals, distances, ordered] = [this.#take(5) + 257, this.#take(5) + 1, this.#take(4) + 4];
    if (literals > 286 || distances > 30) fail('a block in it has too many codes');
    const ofLengths = new Uint8Array(19);
    for (let i = 0; i < ordered; i++) ofLengths[lengthOrder[i]!] = this.#take(3);
    const code = codeOf(ofLengths, false);
    const lengths = new Uint8Array(literals + distances);
    for (let at = 0; at < lengths.length; ) {
      const symbol = this.#symbol(code);
      if (symbol < 16) {
        lengths[at++] = symbol;
        continue;
      }
      if (symbol === 16 && at === 0) fail('a code length in it repeats none');
      const value = symbol === 16 ? lengths[at - 1]! : 0;
      const count =
        symbol === 16 ? 3 + this.#take(2) : symbol === 17 ? 3 + this.#take(3) : 11 + this.#take(7);
      if (at + count > lengths.length) fail('a block in it has too many code lengths');
      lengths.fill(value, at, at + count);
      at += count;
    }
    if (lengths[256] === 0) fail('a block in it has no end');
    return [codeOf(lengths.subarray(0, literals), true), codeOf(lengths.subarray(literals), true)];
  }

  #copyStored(target: Uint8Array): void {
    const count = Math.min(this.#stored, target.length - this.#written, this.#input.length - this.#next);
    const bytes = this.#input.subarray(this.#next, this.#next + count);
    target.set(bytes, this.#written);
    for (const byte of bytes) this.#window[this.#total++ & (WINDOW - 1)] = byte;
    this.#next += count;
    this.#written += count;
    this.#stored -= count;
    if (this.#stored === 0) this.#state = 'between blocks';
    else if (this.#next >= this.#input.length) throw CUT;
  }

  /** Decodes symbols until the target is full or the block ends. */
  #decode(target: Uint8Array): void {
    const [literals, distances] = this.#codes!;
    const window = this.#window;
    while (this.#written < target.length) {
      if (this.#copies > 0) {
        const count = Math.min(this.#copies, target.length - this.#written);
        for (let i = 0; i < count; i++) {
          const byte = window[(this.#total - this.#distance) & (WINDOW - 1)]!;
          window[this.#total++ & (WINDOW - 1)] = byte;
          target[this.#written++] = byte;
        }
        this.#copies -= count;
        continue;
      }
      const symbol = this.#symbol(literals);
      if (symbol < 256) {
        window[this.#total++ & (WINDOW - 1)] = symbol;
        target[this.#written++] = symbol;
        continue;
      }
      if (symbol === 256) {
        this.#state = 'between blocks';
        return;
      }
      const base = lengthBase[symbol - 257] ?? fail('a match in it has no length');
      const length = base + this.#take(lengthExtra[symbol - 257]!);
      const far = this.#symbol(distances);
      const least = distanceBase[far] ?? fail('a match in it has no distance');
      this.#distance = least + this.#take(distanceExtra[far]!);
      if (this.#distance > this.#total) fail('a match in it reaches back before its beginning');
      this.#copies = length;
    }
  }
}
