/**
 * Exponential and logarithm on vectors, within two units in the last place, without a call: what sigmoid,
 * SiLU, tanh, softmax and response normalisation are made of.
 */

import { type FunctionBuilder, f32x4, i32x4, type Local, type V128 } from '../emit/index.js';
import type { Engine } from '../engine.js';
import { constant, LOGARITHM, POWER_OF_TWO, ROUND } from './constants.js';
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
  const [highest, second, ...rest] = coefficients as [number, number, ...number[]];
  inStep(result, (y, i) => f.set(y, multiplyAdd(engine, x[i]!, constant(highest), constant(second))));
  for (const coefficient of rest)
    inStep(result, (y, i) => f.set(y, multiplyAdd(engine, y, x[i]!, constant(coefficient))));
}

/**
 * result = exp(factor * x). Arguments are cut at +-126 in powers of two, so that large negative ones give
 * 1e-38. NaN stays NaN. `result` may not be `x`.
 */
export function exponential(
  f: FunctionBuilder,
  engine: Engine,
  x: readonly Vector[],
  result: readonly Vector[],
  factor = 1,
): void {
  const exponent = f.vectors('exponent', x.length);
  const rest = f.vectors('exponent rest', x.length);
  const bound = (value: V128): V128 => f32x4.pmin(f32x4.pmax(value, constant(-126)), constant(126));
  inStep(rest, (y, i) => f.set(y, bound(f32x4.mul(x[i]!, constant(factor * Math.LOG2E)))));
  inStep(exponent, (n, i) => f.set(n, f32x4.add(rest[i]!, constant(ROUND))));
  inStep(rest, (y, i) => f.set(y, f32x4.sub(y, f32x4.sub(exponent[i]!, constant(ROUND)))));
  polynomial(f, engine, POWER_OF_TWO, rest, result);
  // The whole number stands in the lowest bits: shifted up it is added to the exponent field.
  inStep(exponent, (n) => f.set(n, i32x4.shl(n, 23)));
  inStep(result, (y, i) => f.set(y, i32x4.add(y, exponent[i]!)));
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
