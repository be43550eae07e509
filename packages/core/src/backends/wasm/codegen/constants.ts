/**
 * Constants of the activations, held in memory and loaded into all lanes where they are used. Pairs of such
 * loads become one 256-bit load, pairs of constants in the code do not: EfficientNet-B0 took 14.1 ms with
 * those, 9.9 with these (one thread). Winograd's transforms lose 3 % with them and have theirs in the code.
 */

import { CONTROL_BYTES } from '../memory/controlWords.js';
import type { Engine } from './engine.js';
import { type FunctionBuilder, f32x4, type Local, type V128, v128 } from './index.js';
import { FLOAT } from './kernel.js';

/** Byte address of the constants, behind the control words. */
export const CONSTANTS_AT = CONTROL_BYTES;

/** The most there can be. */
export const MOST_CONSTANTS = 64;

/**
 * 1.5 * 2^23 + 127: added to a small float32 it leaves the nearest whole number in the lowest bits, with the
 * bias that exponents have.
 */
export const BIASED_ROUND = 12582912 + 127;

/** The largest whole power of two that is made, and the smallest. */
export const MOST_EXPONENT = 126;

/** 2^x on [-1/2, 1/2] as 1 + x * (...): least largest relative error for its degree, 9.2e-8. Highest power first. */
export const POWER_OF_TWO = [
  0.0013264727197404302, 0.009671512639652897, 0.055507337432514375, 0.24022242085375, 0.693146977599164, 1,
] as const;

/** log(1 + x) - x + x^2 / 2 as x^3 * (...), for sqrt(1/2) <= 1 + x <= sqrt(2). Cephes `logf`; highest power first. */
export const LOGARITHM = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
  2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
] as const;

/** tanh(x) for |x| < 0.625 as x + x^3 * (...) of x^2. Cephes `tanhf`; highest power first. */
export const SMALL_TANH = [
  -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1,
] as const;

/** The values in memory, in their order. */
export const CONSTANTS: readonly number[] = [
  ...new Set([
    0,
    3,
    6,
    1 / 6,
    0.5,
    2,
    0.625,
    BIASED_ROUND,
    ...[1, -1, 2].flatMap((factor) => [
      factor * Math.LOG2E,
      MOST_EXPONENT / Math.abs(factor * Math.LOG2E),
      -MOST_EXPONENT / Math.abs(factor * Math.LOG2E),
    ]),
    Math.LN2,
    ...POWER_OF_TWO,
    ...LOGARITHM,
    ...SMALL_TANH,
  ]),
];

/** A constant in all lanes: from memory if it is one of those there, else from the code. */
export function constant(value: number): V128 {
  const index = CONSTANTS.indexOf(value);
  return index < 0 ? f32x4.const(value) : v128.loadSplat(0, CONSTANTS_AT + index * FLOAT);
}

/**
 * A constant that several vectors need, loaded once for all of them (and its neighbour, where a pair is one
 * operation). SiLU has 13: with loads for each vector it took 8.4 cycles for eight values, without them 7.
 */
export function heldConstant(
  f: FunctionBuilder,
  { wide }: Engine,
  name: string,
  value: number,
): (index: number) => Local<'v128'> {
  const held = f.vectors(name, wide ? 2 : 1);
  for (const vector of held) f.set(vector, constant(value));
  return (index) => held[index % held.length]!;
}
