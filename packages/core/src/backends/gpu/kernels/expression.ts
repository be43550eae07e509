/** Pieces of index arithmetic as text. Kernels compute in float32, where whole numbers are exact below 2^24. */

/** Where an element is along an axis: an expression, or one with a constant to add. */
export type Coordinate = string | readonly [expression: string, offset: number];

/** Beyond this, a quotient may round across a whole number and is corrected. */
const SAFE_QUOTIENT = 2 ** 19;

/** A sum with a constant. */
export const plus = (expression: string, offset: number): string =>
  offset === 0 ? expression : `(${expression} ${offset < 0 ? '-' : '+'} ${Math.abs(offset)})`;

/** Statements that take apart a whole number `name` below `bound` into a quotient and a rest. */
export function divide(name: string, by: number, bound: number, quotient: string, rest: string): string {
  const first = `let ${quotient} = Math.floor((${name} + 0.5) / ${by}); let ${rest} = ${name} - ${quotient} * ${by};`;
  if (bound < SAFE_QUOTIENT) return first;
  return `${first} if (${rest} < 0) { ${quotient} -= 1; ${rest} += ${by}; } if (${rest} >= ${by}) { ${quotient} += 1; ${rest} -= ${by}; }`;
}
