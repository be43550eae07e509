/**
 * Exponential and logarithm on vectors, within two units in the last place, without a call: what sigmoid,
 * SiLU, tanh, softmax and response normalisation are made of.
 */

import { type FunctionBuilder, f32x4, i32x4, type Local, type V128 } from '../emit/index.js';
import type { Engine } from '../engine.js';
import { multiplyAdd } from './kernel.js';

type Vector = Local<'v128'>;

/** 1.5 * 2^23: added to a small float32 it leaves the nearest whole number in the lowest bits. */
const ROUND = 12582912;

/** 2^x on [-1/2, 1/2] as 1 + x * (...): least largest relative error for its degree, 9.2e-8. Highest power first. */
const POWER_OF_TWO = [
  0.0013264727197404302, 0.009671512639652897, 0.055507337432514375, 0.24022242085375, 0.693146977599164, 1,
];

/** log(1 + x) - x + x^2 / 2 as x^3 * (...), for sqrt(1/2) <= 1 + x <= sqrt(2). Cephes `logf`; highest power first. */
const LOGARITHM = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
  2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
];

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
  inStep(result, (y, i) => f.set(y, multiplyAdd(engine, x[i]!, f32x4.const(highest), f32x4.const(second))));
  for (const coefficient of rest)
    inStep(result, (y, i) => f.set(y, multiplyAdd(engine, y, x[i]!, f32x4.const(coefficient))));
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
  const bound = (value: V128): V128 => f32x4.pmin(f32x4.pmax(value, f32x4.const(-126)), f32x4.const(126));
  inStep(rest, (y, i) => f.set(y, bound(f32x4.mul(x[i]!, f32x4.const(factor * Math.LOG2E)))));
  inStep(exponent, (n, i) => f.set(n, f32x4.add(rest[i]!, f32x4.const(ROUND))));
  inStep(rest, (y, i) => f.set(y, f32x4.sub(y, f32x4.sub(exponent[i]!, f32x4.const(ROUND)))));
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
  inStep(rest, (y, i) => f.set(y, f32x4.sub(i32x4.sub(x[i]!, i32x4.shl(exponent[i]!, 23)), f32x4.const(1))));
  inStep(exponent, (n) => f.set(n, f32x4.fromI32x4(n)));
  polynomial(f, engine, LOGARITHM, rest, result);
  inStep(result, (y, i) => {
    const z = rest[i]!;
    const cube = f32x4.mul(f32x4.mul(z, z), f32x4.mul(z, y));
    f.set(y, f32x4.add(z, f32x4.sub(cube, f32x4.mul(f32x4.mul(z, z), f32x4.const(0.5)))));
  });
  inStep(result, (y, i) => f.set(y, multiplyAdd(engine, exponent[i]!, f32x4.const(Math.LN2), y)));
}
