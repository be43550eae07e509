/**
 * Exponential and logarithm on vectors, within two units in the last place, without a call: what sigmoid,
 * SiLU, tanh, softmax and response normalisation are made of.
 */

import { BIASED_ROUND, constant, heldConstant, LOGARITHM, MOST_EXPONENT, POWER_OF_TWO } from './constants.js';
import type { Engine } from './engine.js';
import { type FunctionBuilder, f32x4, i32x4, type Local } from './index.js';
import { multiplyAdd } from './kernel.js';

type Vector = Local<'v128'>;

/** Runs one step for all vectors before the next step, so that pairs stay next to each other. */
export const inStep = (vectors: readonly Vector[], step: (vector: Vector, index: number) => void): void =>
  vectors.forEach(step);

/** The polynomial at x, by Horner's rule, into `result`. */
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
    inStep(result, (y, i) => f.set(y, multiplyAdd(engine, k === 0 ? first(i) : y, x[i]!, coefficient(i))));
  }
}

/**
 * exp(factor * x) as scale * mantissa, a whole power of two and a value between sqrt(1/2) and sqrt(2). The
 * exponent is cut at +-126, so that large negative arguments give 1e-38. NaN stays NaN in the mantissa.
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
  const bound = MOST_EXPONENT / Math.abs(binary);
  const least = heldConstant(f, engine, 'first constant', -bound);
  const most = heldConstant(f, engine, 'second constant', bound);
  inStep(rest, (y, i) => f.set(y, f32x4.pmin(f32x4.pmax(x[i]!, least(i)), most(i))));
  // The whole number stands in the lowest bits, with the bias of an exponent: shifted up it is the power.
  const toBinary = heldConstant(f, engine, 'first constant', binary);
  const round = heldConstant(f, engine, 'second constant', BIASED_ROUND);
  inStep(scale, (n, i) => f.set(n, multiplyAdd(engine, rest[i]!, toBinary(i), round(i))));
  inStep(rest, (y, i) => f.set(y, multiplyAdd(engine, y, toBinary(i), f32x4.sub(round(i), scale[i]!))));
  inStep(scale, (n) => f.set(n, i32x4.shl(n, 23)));
  polynomial(f, engine, POWER_OF_TWO, rest, mantissa);
  return { scale, mantissa };
}

/** result = exp(factor * x), as `exponentialParts` has it. */
export function exponential(
  f: FunctionBuilder,
  engine: Engine,
  x: readonly Vector[],
  result: readonly Vector[],
  factor = 1,
): void {
  const { scale, mantissa } = exponentialParts(f, engine, x, factor);
  inStep(result, (y, i) => f.set(y, f32x4.mul(scale[i]!, mantissa[i]!)));
}

/** result = log(x) for normal positive x. `result` may not be `x`. */
export function logarithm(
  f: FunctionBuilder,
  engine: Engine,
  x: readonly Vector[],
  result: readonly Vector[],
): void {
  const exponent = f.vectors('exponent', x.length);
  const rest = f.vectors('exponent rest', x.length);
  // Bits of sqrt(1/2): the mantissa is brought to the range from there to sqrt(2).
  const start = i32x4.const(0x3f3504f3);
  inStep(exponent, (n, i) => f.set(n, i32x4.shrS(i32x4.sub(x[i]!, start), 23)));
  inStep(rest, (y, i) => f.set(y, f32x4.sub(i32x4.sub(x[i]!, i32x4.shl(exponent[i]!, 23)), constant(1))));
  inStep(exponent, (n) => f.set(n, f32x4.fromI32x4(n)));
  polynomial(f, engine, LOGARITHM, rest, result);
  inStep(result, (y, i) => {
    const z = rest[i]!;
    const cube = f32x4.mul(f32x4.mul(z, z), f32x4.mul(z, y));
    f.set(y, f32x4.add(z, f32x4.sub(cube, f32x4.mul(f32x4.mul(z, z), constant(0.5)))));
  });
  inStep(result, (y, i) => f.set(y, multiplyAdd(engine, exponent[i]!, constant(Math.LN2), y)));
}
