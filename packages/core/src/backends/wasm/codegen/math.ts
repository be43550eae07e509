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
import { type FunctionBuilder, f32x4, i32x4, type Local, type V128, v128 } from './index.js';
import { multiplyAdd } from './kernel.js';

type Vector = Local<'v128'>;

/**
 * Emits one step of a computation for all vectors, so that V8 finds pairs of neighbouring operations for
 * 256-bit SIMD.
 */
export const forEachPair = (
  vectors: readonly Vector[],
  step: (vector: Vector, index: number) => void,
): void => vectors.forEach(step);

/**
 * Evaluates a polynomial at x by Horner's rule.
 * @param coefficients - from the highest power, at least two.
 * @param result - registers of the result, other than `x`.
 */
export function polynomial(
  f: FunctionBuilder,
  engine: Engine,
  coefficients: readonly number[],
  x: readonly Vector[],
  result: readonly Vector[],
): void {
  const [highest, ...rest] = coefficients as [number, ...number[]];
  const first = heldConstant(f, engine, 'highest coefficient', highest);
  for (const [k, value] of rest.entries()) {
    const coefficient = heldConstant(f, engine, 'coefficient', value);
    forEachPair(result, (y, i) =>
      f.set(y, multiplyAdd(engine, k === 0 ? first(i) : y, x[i]!, coefficient(i))),
    );
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
  x: readonly Vector[],
  factor: number,
): { readonly scale: readonly Vector[]; readonly mantissa: readonly Vector[] } {
  const scale = f.vectors('exponent', x.length);
  const rest = f.vectors('exponent rest', x.length);
  const mantissa = f.vectors('mantissa', x.length);
  const binary = factor * Math.LOG2E;
  const bound = MAX_EXPONENT / Math.abs(binary);
  const lower = heldConstant(f, engine, 'first constant', -bound);
  const upper = heldConstant(f, engine, 'second constant', bound);
  forEachPair(rest, (y, i) => f.set(y, f32x4.pmin(f32x4.pmax(x[i]!, lower(i)), upper(i))));
  // The lowest bits of `scale` are the rounded exponent with its bias: shifted into place they are the power
  // of two.
  const toBinary = heldConstant(f, engine, 'first constant', binary);
  const round = heldConstant(f, engine, 'second constant', BIASED_ROUND);
  forEachPair(scale, (n, i) => f.set(n, multiplyAdd(engine, rest[i]!, toBinary(i), round(i))));
  forEachPair(rest, (y, i) => f.set(y, multiplyAdd(engine, y, toBinary(i), f32x4.sub(round(i), scale[i]!))));
  forEachPair(scale, (n) => f.set(n, i32x4.shl(n, 23)));
  polynomial(f, engine, POWER_OF_TWO, rest, mantissa);
  return { scale, mantissa };
}

/** Computes result = exp(factor * x), with the limits of {@link exponentialParts}. */
export function exponential(
  f: FunctionBuilder,
  engine: Engine,
  x: readonly Vector[],
  result: readonly Vector[],
  factor = 1,
): void {
  const { scale, mantissa } = exponentialParts(f, engine, x, factor);
  forEachPair(result, (y, i) => f.set(y, f32x4.mul(scale[i]!, mantissa[i]!)));
}

/** Computes result = log(x) for normal positive x. `result` must be other registers than `x`. */
export function logarithm(
  f: FunctionBuilder,
  engine: Engine,
  x: readonly Vector[],
  result: readonly Vector[],
): void {
  const exponent = f.vectors('exponent', x.length);
  const rest = f.vectors('exponent rest', x.length);
  // Bits of sqrt(1/2): the mantissa is scaled to [sqrt(1/2), sqrt(2)].
  const start = i32x4.const(0x3f3504f3);
  forEachPair(exponent, (n, i) => f.set(n, i32x4.shrS(i32x4.sub(x[i]!, start), 23)));
  forEachPair(rest, (y, i) =>
    f.set(y, f32x4.sub(i32x4.sub(x[i]!, i32x4.shl(exponent[i]!, 23)), constant(1))),
  );
  forEachPair(exponent, (n) => f.set(n, f32x4.fromI32x4(n)));
  polynomial(f, engine, LOGARITHM, rest, result);
  forEachPair(result, (y, i) => {
    const z = rest[i]!;
    const cube = f32x4.mul(f32x4.mul(z, z), f32x4.mul(z, y));
    f.set(y, f32x4.add(z, f32x4.sub(cube, f32x4.mul(f32x4.mul(z, z), constant(0.5)))));
  });
  forEachPair(result, (y, i) => f.set(y, multiplyAdd(engine, exponent[i]!, constant(Math.LN2), y)));
}

/**
 * Computes result = 1 / (1 + exp(-x)).
 * @param result - may be `x`.
 * @param numerator - gives, for the vector at an index, what stands in place of the 1 above the line. Default: 1.
 */
export function logistic(
  f: FunctionBuilder,
  engine: Engine,
  x: readonly Vector[],
  result: readonly Vector[],
  numerator?: (index: number) => V128,
): void {
  const { scale, mantissa } = exponentialParts(f, engine, x, -1);
  const one = heldConstant(f, engine, 'first constant', 1);
  forEachPair(result, (y, i) =>
    f.set(y, f32x4.div((numerator ?? one)(i), multiplyAdd(engine, scale[i]!, mantissa[i]!, one(i)))),
  );
}

/**
 * Computes result = tanh(x).
 * @param result - may be `x`.
 */
export function hyperbolicTangent(
  f: FunctionBuilder,
  engine: Engine,
  x: readonly Vector[],
  result: readonly Vector[],
): void {
  // 1 - 2 / (exp(2x) + 1) loses digits near zero, where a polynomial is used instead.
  const { scale, mantissa } = exponentialParts(f, engine, x, 2);
  const large = mantissa;
  forEachPair(large, (y, i) => {
    const sum = multiplyAdd(engine, scale[i]!, y, constant(1));
    f.set(y, f32x4.sub(constant(1), f32x4.div(constant(2), sum)));
  });
  const square = f.vectors('exponent rest', x.length);
  const small = scale;
  forEachPair(square, (s, i) => f.set(s, f32x4.mul(x[i]!, x[i]!)));
  polynomial(f, engine, SMALL_TANH, square, small);
  forEachPair(result, (y, i) =>
    f.set(
      y,
      v128.select(
        multiplyAdd(engine, f32x4.mul(x[i]!, square[i]!), small[i]!, x[i]!),
        large[i]!,
        f32x4.lt(f32x4.abs(x[i]!), constant(0.625)),
      ),
    ),
  );
}
