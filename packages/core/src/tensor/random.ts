/**
 * Seeded random numbers. A seed gives the same numbers on every JavaScript engine, and the state is one small
 * array, so that a training run can be stopped and resumed.
 */

/** State of a generator: four 32-bit words. */
export type RandomState = readonly [number, number, number, number];

/** A stream of random numbers. */
export interface Random {
  /** Draws from the uniform distribution on [0, 1): a multiple of 2^-32. */
  uniform(): number;
  /** Draws from the normal distribution with mean 0 and deviation 1 (Box-Muller, one number per call). */
  normal(): number;
  /** Draws a whole number in [0, bound). */
  integer(bound: number): number;
  /** Copies the state; `random(state)` continues this stream. */
  state(): RandomState;
}

/** Hashes a 32-bit integer (lowbias32): each bit of the input affects all bits of the result. */
export function hash32(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * Makes a generator (sfc32, of PractRand).
 * @param seed - a number, or the state of another generator, whose stream it continues.
 */
export function random(seed: number | RandomState): Random {
  let [a, b, c, counter] =
    typeof seed === 'number'
      ? ([hash32(seed), hash32(seed ^ 0x9e3779b9), hash32(seed ^ 0x3c6ef372), 1] as const)
      : seed;
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  if (typeof seed === 'number') for (let i = 0; i < 12; i++) next();
  const uniform = (): number => next() / 2 ** 32;
  return {
    uniform,
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    integer: (bound) => Math.floor(uniform() * bound),
    state: () => [a, b, c, counter],
  };
}
