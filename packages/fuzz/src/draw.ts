/** Random choices from a seed, for the generators of graphs and of damaged files. */
import { type Shape, sizeOf } from '@cnn/core';
import { type Random, random } from '@cnn/core/graph';

/** A sequence of random choices; a seed gives the same sequence on every engine. */
export class Draw {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = random(seed);
  }

  /** Returns true with the given probability. */
  chance(probability: number): boolean {
    return this.#random.uniform() < probability;
  }

  /** Returns an integer from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.#random.integer(high - low + 1);
  }

  /** Returns one of the items, all with equal probability. @throws RangeError for an empty list. */
  pick<T>(items: readonly T[]): T {
    const item = items[this.#random.integer(items.length)];
    if (item === undefined) throw new RangeError('The list to choose from is empty.');
    return item;
  }

  /** Returns values for a shape, uniform in [offset - scale, offset + scale). */
  values(shape: Shape, scale = 1, offset = 0): Float32Array {
    return Float32Array.from(
      { length: sizeOf(shape) },
      () => offset + scale * (2 * this.#random.uniform() - 1),
    );
  }
}
