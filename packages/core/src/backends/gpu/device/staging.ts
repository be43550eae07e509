/** Memory of the host for values on their way to a device, used again and again: new memory costs more than filling it. */
export class Room {
  #floats = new Float32Array(0);

  /** So many zeros to write on, until the next ones are asked for. */
  zeros(count: number): Float32Array<ArrayBuffer> {
    if (this.#floats.length < count) this.#floats = new Float32Array(count);
    return this.#floats.subarray(0, count).fill(0);
  }

  /** Gives the memory back. */
  clear(): void {
    this.#floats = new Float32Array(0);
  }
}
