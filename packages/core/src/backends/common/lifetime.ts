/** The lifetime of a program: it is disposed of once, and refuses every call afterwards. */
export class Lifetime {
  #ended = false;

  /** True once `end` has been called. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Throws an Error if the program has been disposed of. */
  requireAlive(): void {
    if (this.#ended) throw new Error('This program has been disposed of; compile the model again.');
  }

  /** Awaits work; rejects if the program has been disposed of meanwhile. */
  async unlessEnded<T>(work: Promise<T>): Promise<T> {
    return work.finally(() => this.requireAlive());
  }

  /** Ends the lifetime and calls `release`, on the first call only. */
  async end(release: () => void | Promise<void>): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await release();
  }
}
