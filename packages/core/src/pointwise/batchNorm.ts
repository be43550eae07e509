/** The algebra of batch normalisation, as expressions; s = sqrt(variance + eps) is the deviation. */
import { add, div, input, mul, sqrt, sub } from './expression.js';

const x = input('x');
const weight = input('weight');
const bias = input('bias');
const mean = input('mean');
const variance = input('variance');
const dy = input('dy');
const dweight = input('dweight');
const dbias = input('dbias');

const deviation = (eps: number) => sqrt(add(variance, eps));

/** y = (x - mean) / s * weight + bias. */
export const normalise = (eps: number) => add(mul(div(sub(x, mean), deviation(eps)), weight), bias);

/** The normalisation as y = x * scale + shift, for back ends that compute both once per channel. */
export function normCoefficients(eps: number) {
  const scale = div(weight, deviation(eps));
  return { scale, shift: sub(bias, mul(mean, scale)) };
}

/** dx for given statistics: dy * weight / s. */
export const normGradient = (eps: number) => div(mul(dy, weight), deviation(eps));

/**
 * dx for the statistics of the batch, of `count` values a channel:
 * weight / s * (dy - (dbias + (x - mean) / s * dweight) / count).
 */
export function batchNormGradient(eps: number, count: number) {
  const s = deviation(eps);
  const normalised = div(sub(x, mean), s);
  return mul(div(weight, s), sub(dy, div(add(dbias, mul(normalised, dweight)), count)));
}

/**
 * The gradient as dx = dy * scale + x * slope + shift, for back ends that compute these once per channel: slope =
 * -scale / s * dweight / count, shift = -scale * dbias / count - slope * mean.
 */
export function batchNormGradientCoefficients(eps: number, count: number) {
  const s = deviation(eps);
  const scale = div(weight, s);
  const share = mul(scale, -1 / count);
  const slope = div(mul(share, dweight), s);
  return { scale, slope, shift: sub(mul(share, dbias), mul(slope, mean)) };
}

/** Weight of a layer with the normalisation after it folded in: w * weight / s. */
export const foldedWeight = (eps: number) => div(mul(input('w'), weight), deviation(eps));

/** Bias of a layer with the normalisation after it folded in: bias + (layerBias - mean) * weight / s. */
export const foldedBias = (eps: number) =>
  add(bias, div(mul(sub(input('layerBias'), mean), weight), deviation(eps)));
