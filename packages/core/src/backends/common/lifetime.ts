/** Says of a program whether it still runs: it is disposed of once, and refuses every call from then on. */
export class Lifetime {
  #ended = false;

  /** True once `end` was called. */
  get ended(): boolean {
    return this.#ended;
  }

  /** @throws Error after the program was disposed of. */
  requireAlive(): void {
    if (this.#ended) throw new Error('This program has been disposed of; compile the model again.');
  }

  /** Gives the result of work, unless the program was disposed of meanwhile: then it rejects. */
  async unlessEnded<T>(work: Promise<T>): Promise<T> {
    return work.finally(() => this.requireAlive());
  }

  /** Calls `release`, the first time. */
  async end(release: () => void | Promise<void>): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await release();
  }
}
