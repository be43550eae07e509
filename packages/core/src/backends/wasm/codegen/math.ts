/**
 * Exponential, logarithm, logistic function and hyperbolic tangent of vectors, inlined. The error of the first two is at
 * most two units in the last place. Activations, softmax and local response normalisation use them.
 */

import {
  BIASED_ROUND,
  constant,
  heldConstant,
  LOGARITHM,
  MAX_EXPONENT,
  POWER_OF_TWO,
  SMALL_TANH,
} from './constants.js';
import type { Engine } from './engine.js';
import { type F32x8, type F32x8Local, type FunctionBuilder, f32x4, f32x8, i32x4, lift } from './index.js';

/**
 * Evaluates a polynomial at x by Horner's rule.
 * @param coefficients - from the highest power, at least two.
 * @param result - registers of the result, other than `x`.
 */
export function polynomial(
  f: FunctionBuilder,
  engine: Engine,
  coefficients: readonly number[],
  x: F32x8Local,
  result: F32x8Local,
): void {
  const [highest, ...rest] = coefficients as [number, ...number[]];
  const first = heldConstant(f, engine, 'highest coefficient', highest);
  for (const [k, value] of rest.entries()) {
    const coefficient = heldConstant(f, engine, 'coefficient', value);
    f.set(result, f32x8.multiplyAdd(engine, k === 0 ? first : result, x, coefficient));
  }
}

/**
 * Computes exp(factor * x) as scale * mantissa: a power of two, and a value between sqrt(1/2) and sqrt(2).
 * The exponent is clamped to [-126, 126], so large negative arguments give 1e-38. If x is NaN, the mantissa
 * is NaN.
 */
export function exponentialParts(
  f: FunctionBuilder,
  engine: Engine,
  x: F32x8Local,
  factor: number,
): { readonly scale: F32x8Local; readonly mantissa: F32x8Local } {
  const scale = f.pool('exponent', x.length);
  const rest = f.pool('exponent rest', x.length);
  const mantissa = f.pool('mantissa', x.length);
  const binary = factor * Math.LOG2E;
  const bound = MAX_EXPONENT / Math.abs(binary);
  const lower = heldConstant(f, engine, 'first constant', -bound);
  const upper = heldConstant(f, engine, 'second constant', bound);
  f.set(rest, f32x8.pmin(f32x8.pmax(x, lower), upper));
  // The lowest bits of `scale` are the rounded exponent with its bias: shifted into place they are the power
  // of two.
  const toBinary = heldConstant(f, engine, 'first constant', binary);
  const round = heldConstant(f, engine, 'second constant', BIASED_ROUND);
  f.set(scale, f32x8.multiplyAdd(engine, rest, toBinary, round));
  f.set(rest, f32x8.multiplyAdd(engine, rest, toBinary, f32x8.sub(round, scale)));
  f.set(scale, shiftLeft(scale, 23));
  polynomial(f, engine, POWER_OF_TWO, rest, mantissa);
  return { scale, mantissa };
}

/** Shifts the bits of each lane. */
const shiftLeft = (x: F32x8, bits: number): F32x8 => x.map((half) => i32x4.shl(half, bits));

/** Computes result = exp(factor * x), with the limits of {@link exponentialParts}. */
export function exponential(
  f: FunctionBuilder,
  engine: Engine,
  x: F32x8Local,
  result: F32x8Local,
  factor = 1,
): void {
  const { scale, mantissa } = exponentialParts(f, engine, x, factor);
  f.set(result, f32x8.mul(scale, mantissa));
}

/** Computes result = log(x) for normal positive x. `result` must be other registers than `x`. */
export function logarithm(f: FunctionBuilder, engine: Engine, x: F32x8Local, result: F32x8Local): void {
  const exponent = f.pool('exponent', x.length);
  const rest = f.pool('exponent rest', x.length);
  // Bits of sqrt(1/2): the mantissa is scaled to [sqrt(1/2), sqrt(2)].
  const start = i32x4.const(0x3f3504f3);
  f.set(exponent, lift((x) => i32x4.shrS(i32x4.sub(x!, start), 23))(x));
  f.set(rest, f32x8.sub(lift(i32x4.sub)(x, shiftLeft(exponent, 23)), constant(1)));
  f.set(exponent, lift(f32x4.fromI32x4)(exponent));
  polynomial(f, engine, LOGARITHM, rest, result);
  const square = f32x8.mul(rest, rest);
  const cube = f32x8.mul(square, f32x8.mul(rest, result));
  f.set(result, f32x8.add(rest, f32x8.sub(cube, f32x8.mul(square, constant(0.5)))));
  f.set(result, f32x8.multiplyAdd(engine, exponent, constant(Math.LN2), result));
}

/**
 * Computes result = 1 / (1 + exp(-x)).
 * @param result - may be `x`.
 * @param numerator - gives what stands in place of the 1 above the line. Default: 1.
 */
export function logistic(
  f: FunctionBuilder,
  engine: Engine,
  x: F32x8Local,
  result: F32x8Local,
  numerator?: () => F32x8,
): void {
  const { scale, mantissa } = exponentialParts(f, engine, x, -1);
  const one = heldConstant(f, engine, 'first constant', 1);
  f.set(result, f32x8.div(numerator?.() ?? one, f32x8.multiplyAdd(engine, scale, mantissa, one)));
}

/**
 * Computes result = tanh(x).
 * @param result - may be `x`.
 */
export function hyperbolicTangent(
  f: FunctionBuilder,
  engine: Engine,
  x: F32x8Local,
  result: F32x8Local,
): void {
  // 1 - 2 / (exp(2x) + 1) loses digits near zero, where a polynomial is used instead.
  const { scale, mantissa } = exponentialParts(f, engine, x, 2);
  const large = mantissa;
  const sum = f32x8.multiplyAdd(engine, scale, mantissa, constant(1));
  f.set(large, f32x8.sub(constant(1), f32x8.div(constant(2), sum)));
  const square = f.pool('exponent rest', x.length);
  const small = scale;
  f.set(square, f32x8.mul(x, x));
  polynomial(f, engine, SMALL_TANH, square, small);
  const nearZero = f32x8.multiplyAdd(engine, f32x8.mul(x, square), small, x);
  f.set(result, f32x8.select(nearZero, large, f32x8.lt(f32x8.abs(x), constant(0.625))));
}
