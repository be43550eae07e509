/** Text that pooling over windows and adaptive pooling share. */

/** Statements before the loop that finds a maximum. */
export const maximumStart = 'let best = 0.0;\nlet found = 0.0;';

/**
 * Writes statements that keep the maximum, the first of several, in `best`.
 * @param identity - expression to keep in `winner`, which tells where the maximum was. Default: none.
 */
export const keepMaximum = (value: string, identity?: string): string =>
  `const value = ${value};
if (found < 0.5) { best = value; found = 1.0;${identity ? ` winner = ${identity};` : ''} }
if (value > best) { best = value;${identity ? ` winner = ${identity};` : ''} }`;

/** Coordinates along the last two axes: row and column. */
export const pixelOf = (at: readonly string[]): readonly [row: string, column: string] => [at[2]!, at[3]!];
