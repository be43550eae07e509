/** Text in HTML and SVG. */

/** A text with the characters that mean something there written as numbers. */
export const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
