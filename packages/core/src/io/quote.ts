import { printable } from '../printable.js';

/**
 * Quotes a text from a file for an error message: in quotes, control characters escaped, cut after 120
 * characters.
 */
export const quote = (text: string): string =>
  `'${printable(text.length > 120 ? `${text.slice(0, 120)}...` : text)}'`;
