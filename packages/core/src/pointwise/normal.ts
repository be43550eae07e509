/** The standard normal distribution, as expressions: GELU weights x by its distribution function. */
import { add, div, type Expression, exp, less, max, mul, negate, sub, where } from './expression.js';

/**
 * Coefficients of a polynomial in t = 1 / (1 + 0.24 |x|), from the highest power, t^7, to t. The polynomial times
 * exp(-x^2 / 2) is the distribution function at -|x|, with an error below 1e-9. The form is that of Abramowitz and
 * Stegun's Handbook of Mathematical Functions, 26.2.17; the coefficients are a minimax fit of ours.
 */
const TAIL = [
  -0.1246146045, 0.5522811244, -0.6414484496, 0.6206506501, -0.1510981335, 0.1545796349, 0.0896497788,
] as const;

/** Returns the density, exp(-x^2 / 2) / sqrt(2 pi), and the distribution function, (1 + erf(x / sqrt(2))) / 2. */
export function normal<I extends string>(x: Expression<I>) {
  const bell = exp(mul(mul(x, x), -0.5));
  const t = div(1, add(mul(max(x, negate(x)), 0.24), 1));
  const [highest, ...others] = TAIL;
  const polynomial = others.reduce((sum, coefficient) => mul(add(sum, coefficient), t), mul(t, highest));
  const tail = mul(polynomial, bell);
  return {
    density: mul(bell, 1 / Math.sqrt(2 * Math.PI)),
    distribution: where(less(x, 0), tail, sub(1, tail)),
  };
}
