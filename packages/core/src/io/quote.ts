/** Quotes a text from a file for an error message: in quotes, cut after 120 characters. */
export const quote = (text: string): string => `'${text.length > 120 ? `${text.slice(0, 120)}...` : text}'`;
