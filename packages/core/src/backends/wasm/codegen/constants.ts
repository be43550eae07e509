/**
 * Constants of the activations. They lie in memory, and kernels load each into all lanes
 * (`v128.load32_splat`). With 256-bit SIMD a pair of such loads becomes one, but a pair of `v128.const` does
 * not: EfficientNet-B0 takes 9.9 ms with loads and 14.1 ms with `v128.const` (one thread). Winograd
 * transforms are 3 % slower with loads and use `v128.const`.
 */
import type { Engine } from './engine.js';
import { type F32x8Local, type FunctionBuilder, f32x4, type V128, v128 } from './index.js';
import { FLOAT } from './kernel.js';

/** Byte address of the constants. The bytes before them are the runtime's control words. */
export const CONSTANTS_AT = 512;

/** Number of constants that memory is reserved for. */
export const MAX_CONSTANTS = 64;

/**
 * 1.5 * 2^23 + 127. Adding it to a small float32 rounds the value to the nearest integer and leaves that in
 * the lowest bits, with the exponent bias of float32 added.
 */
export const BIASED_ROUND = 12582912 + 127;

/** Largest magnitude of an exponent of two: exponents are clamped to [-126, 126]. */
export const MAX_EXPONENT = 126;

/**
 * Minimax polynomial of 2^x on [-1/2, 1/2], relative error 9.2e-8. Coefficients from the highest power to the
 * constant 1.
 */
export const POWER_OF_TWO = [
  0.0013264727197404302, 0.009671512639652897, 0.055507337432514375, 0.24022242085375, 0.693146977599164, 1,
] as const;

/**
 * Polynomial p with log(1 + x) = x - x^2 / 2 + x^3 * p(x) for sqrt(1/2) <= 1 + x <= sqrt(2), from Cephes
 * `logf`. Coefficients from the highest power.
 */
export const LOGARITHM = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
  2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
] as const;

/**
 * Polynomial p with tanh(x) = x + x^3 * p(x^2) for |x| < 0.625, from Cephes `tanhf`. Coefficients from the
 * highest power.
 */
export const SMALL_TANH = [
  -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1,
] as const;

/** The constants in the order in which they lie in memory, one float32 each. */
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
      MAX_EXPONENT / Math.abs(factor * Math.LOG2E),
      -MAX_EXPONENT / Math.abs(factor * Math.LOG2E),
    ]),
    Math.LN2,
    ...POWER_OF_TWO,
    ...LOGARITHM,
    ...SMALL_TANH,
  ]),
];

/** Returns a constant in all lanes: a load if it is in `CONSTANTS`, else a `v128.const`. */
export function constant(value: number): V128 {
  const index = CONSTANTS.indexOf(value);
  return index < 0 ? f32x4.const(value) : v128.loadSplat(0, CONSTANTS_AT + index * FLOAT);
}

/**
 * Loads a constant into registers that several values share: a pair with 256-bit SIMD, else one. SiLU needs 13
 * constants: it takes 7 cycles for eight values so, 8.4 with a load per vector.
 * @param name - pool of the registers: a later constant of the same name overwrites this one.
 */
export function heldConstant(f: FunctionBuilder, { wide }: Engine, name: string, value: number): F32x8Local {
  const held = f.pool(name, wide ? 2 : 1);
  f.set(held, constant(value));
  return held;
}
