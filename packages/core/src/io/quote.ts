/** How a name or text from a file stands in a message: in quotes, and never a megabyte long. */
export const quote = (text: string): string => `'${text.length > 120 ? `${text.slice(0, 120)}...` : text}'`;
