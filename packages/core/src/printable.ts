/** Makes text from files, file names and servers safe to show: a terminal obeys control characters. */

/**
 * Control characters (C0, DEL, C1), line and paragraph separators, and characters that reverse the direction of text.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced.
const CONTROLS = /[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/**
 * Escapes control characters as JavaScript writes them: `\n`, `\x1b`, `\u202e`. Other text is unchanged.
 * @example
 * printable('cat\n\x1b[2J') // 'cat\\n\\x1b[2J'
 */
export const printable = (text: string): string =>
  text.replace(CONTROLS, (character) => {
    const code = character.charCodeAt(0);
    const short = { 9: '\\t', 10: '\\n', 13: '\\r' }[code];
    const digits = code.toString(16);
    return short ?? (code < 256 ? `\\x${digits.padStart(2, '0')}` : `\\u${digits.padStart(4, '0')}`);
  });

/** Characters of a text that a message shows. */
const SHOWN = 120;

/** Escapes a text as {@link printable} does, cut after 120 characters: every text from a file may be megabytes. */
export const excerpt = (text: string): string =>
  printable(text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text);
