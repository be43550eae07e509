/** Texts from files in messages. */
import { printable } from '../printable.js';

/** Characters of a text that a message shows. */
const SHOWN = 120;

/** Gives a text from a file for an error message: control characters escaped, cut after 120 characters. */
export function shown(text: string): string {
  const escaped = printable(text.slice(0, SHOWN + 1));
  return escaped.length > SHOWN ? `${escaped.slice(0, SHOWN)}...` : escaped;
}

/** Gives a text from a file for an error message in quotes: see {@link shown}. */
export const quote = (text: string): string => `'${shown(text)}'`;

/** Lists the first ten values for a message, each as `show` gives it. */
export const listed = <T>(values: readonly T[], show: (value: T) => string): string =>
  `${values.slice(0, 10).map(show).join(', ')}${values.length > 10 ? ', ...' : ''}`;
