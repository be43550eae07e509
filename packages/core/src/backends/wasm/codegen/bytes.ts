/** A byte buffer that grows, with the number encodings of the WebAssembly binary format. */

/** A byte buffer. All writing methods append and return the buffer. */
export class Bytes {
  #data = new Uint8Array(256);
  #length = 0;

  /** Number of bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** Returns the bytes written so far. Not copied; valid until the next write. */
  view(): Uint8Array<ArrayBuffer> {
    return this.#data.subarray(0, this.#length);
  }

  /** Writes single bytes. */
  bytes(...values: number[]): this {
    this.#reserve(values.length);
    for (const value of values) this.#data[this.#length++] = value;
    return this;
  }

  /** Writes an unsigned 32-bit number in LEB128: seven bits per byte, lowest first. */
  unsigned(value: number): this {
    this.#reserve(5);
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.#data[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#data[this.#length++] = rest;
    return this;
  }

  /** Writes a signed 32-bit number in LEB128. */
  signed(value: number): this {
    this.#reserve(5);
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      const done = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
      this.#data[this.#length++] = done ? low : low | 0x80;
      if (done) return this;
    }
  }

  /** Writes a float32, little-endian. */
  float32(value: number): this {
    this.#reserve(4);
    new DataView(this.#data.buffer).setFloat32(this.#length, value, true);
    this.#length += 4;
    return this;
  }

  /** Writes the length of other bytes, then the bytes: the form of sections and function bodies. */
  counted(other: Bytes): this {
    return this.unsigned(other.length).append(other);
  }

  /** Writes other bytes. */
  append(other: Bytes): this {
    const { length } = other;
    this.#reserve(length);
    this.#data.set(other.view(), this.#length);
    this.#length += length;
    return this;
  }

  /** Writes the length of an ASCII name, then its characters. */
  name(text: string): this {
    this.unsigned(text.length);
    return this.bytes(...[...text].map((letter) => letter.charCodeAt(0)));
  }

  /** Makes space for `count` more bytes. */
  #reserve(count: number): void {
    if (this.#length + count <= this.#data.length) return;
    const larger = new Uint8Array(Math.max(this.#data.length * 2, this.#length + count));
    larger.set(this.view());
    this.#data = larger;
  }
}
