/** Random choices from a seed: what the generators of graphs and of damaged files are made of. */
import { type Random, random, type Shape, sizeOf } from '@cnn/core';

/** A stream of choices; the same seed makes the same ones on every engine. */
export class Draw {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = random(seed);
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.#random.uniform() < probability;
  }

  /** A whole number from `low` up to and including `high`. */
  between(low: number, high: number): number {
    return low + this.#random.integer(high - low + 1);
  }

  /** One of the items, all equally likely. */
  pick<T>(items: readonly T[]): T {
    const item = items[this.#random.integer(items.length)];
    if (item === undefined) throw new RangeError('There is nothing to choose from.');
    return item;
  }

  /** As many numbers as the shape holds, uniform in `offset` +- `scale`. */
  values(shape: Shape, scale = 1, offset = 0): Float32Array {
    return Float32Array.from(
      { length: sizeOf(shape) },
      () => offset + scale * (2 * this.#random.uniform() - 1),
    );
  }
}
