/** A byte buffer that grows, with the number encodings of the WebAssembly binary format. */

/** Bytes written one after the other. */
export class Bytes {
  #data = new Uint8Array(256);
  #length = 0;

  /** How many bytes have been written. */
  get length(): number {
    return this.#length;
  }

  /** The bytes written so far, without a copy. */
  view(): Uint8Array<ArrayBuffer> {
    return this.#data.subarray(0, this.#length);
  }

  /** Single bytes. */
  bytes(...values: number[]): this {
    this.#room(values.length);
    for (const value of values) this.#data[this.#length++] = value;
    return this;
  }

  /** An unsigned number in LEB128: seven bits a byte, lowest first. */
  unsigned(value: number): this {
    this.#room(5);
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.#data[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#data[this.#length++] = rest;
    return this;
  }

  /** A signed 32-bit number in LEB128. */
  signed(value: number): this {
    this.#room(5);
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      const done = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
      this.#data[this.#length++] = done ? low : low | 0x80;
      if (done) return this;
    }
  }

  /** A float32, little-endian. */
  float32(value: number): this {
    this.#room(4);
    new DataView(this.#data.buffer).setFloat32(this.#length, value, true);
    this.#length += 4;
    return this;
  }

  /** Other bytes with their count before them, as sections, bodies and names have it. */
  counted(other: Bytes): this {
    return this.unsigned(other.length).append(other);
  }

  /** Other bytes as they are. */
  append(other: Bytes): this {
    const { length } = other;
    this.#room(length);
    this.#data.set(other.view(), this.#length);
    this.#length += length;
    return this;
  }

  /** An ASCII name with its length before it. */
  name(text: string): this {
    this.unsigned(text.length);
    return this.bytes(...[...text].map((letter) => letter.charCodeAt(0)));
  }

  #room(count: number): void {
    if (this.#length + count <= this.#data.length) return;
    const larger = new Uint8Array(Math.max(this.#data.length * 2, this.#length + count));
    larger.set(this.view());
    this.#data = larger;
  }
}
