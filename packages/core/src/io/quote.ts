/** Texts from files in messages. */
import { excerpt } from '../printable.js';

/** Quotes a text from a file for an error message: in quotes, control characters escaped, cut after 120 characters. */
export const quote = (text: string): string => `'${excerpt(text)}'`;

/** Lists the first ten values for a message, each as `show` gives it. */
export const listed = <T>(values: readonly T[], show: (value: T) => string): string =>
  `${values.slice(0, 10).map(show).join(', ')}${values.length > 10 ? ', ...' : ''}`;
