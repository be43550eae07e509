/** Index arithmetic as text. Kernels compute indices in float32, which holds every integer below 2^24. */

/** Index of an element along an axis: an expression, or an expression and a constant to add to it. */
export type Coordinate = string | readonly [expression: string, offset: number];

/** Dividends from here on may round to the next integer when divided, so the quotient is corrected. */
const SAFE_DIVIDENDS = 2 ** 19;

/** Adds a constant to an expression. */
export const plus = (expression: string, offset: number): string =>
  offset === 0 ? expression : `(${expression} ${offset < 0 ? '-' : '+'} ${Math.abs(offset)})`;

/**
 * Gives statements that divide an integer variable.
 * @param name - the dividend, an integer from 0 up to, but not including, `bound`.
 * @param by - the divisor.
 * @param quotient - variable to declare.
 * @param remainder - variable to declare.
 */
export function divide(name: string, by: number, bound: number, quotient: string, remainder: string): string {
  const division = `let ${quotient} = Math.floor((${name} + 0.5) / ${by}); let ${remainder} = ${name} - ${quotient} * ${by};`;
  if (bound < SAFE_DIVIDENDS) return division;
  return `${division} if (${remainder} < 0) { ${quotient} -= 1; ${remainder} += ${by}; } if (${remainder} >= ${by}) { ${quotient} += 1; ${remainder} -= ${by}; }`;
}

/** Multiplies an expression by a constant. */
export const times = (expression: string, factor: number): string =>
  factor === 1 ? expression : expression === '0' ? '0' : `${expression} * ${factor}`;

/** Adds up expressions; zeros are left out. */
export const sumOf = (...terms: readonly string[]): string => {
  const kept = terms.filter((term) => term !== '0');
  return kept.length === 0 ? '0' : kept.join(' + ');
};
