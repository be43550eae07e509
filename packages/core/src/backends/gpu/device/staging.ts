/** Host memory for uploads. It is reused: allocating it takes longer than filling it. */
export class StagingBuffer {
  #floats = new Float32Array(0);

  /** Gives `count` zeros to write on, valid until the next call. */
  zeros(count: number): Float32Array<ArrayBuffer> {
    if (this.#floats.length < count) this.#floats = new Float32Array(count);
    return this.#floats.subarray(0, count).fill(0);
  }

  /** Frees the memory. */
  clear(): void {
    this.#floats = new Float32Array(0);
  }
}
