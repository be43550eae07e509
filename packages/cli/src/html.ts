/** Writes HTML pages without references to other files. */

/** Escapes the special characters of a text for HTML and SVG. */
export const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

/** Styles of every page, for light and dark colour schemes. */
const style = `
:root { color-scheme: light dark; --ink: light-dark(#222, #ddd); --faint: light-dark(#ddd, #444); --bar: light-dark(#2a9d8f, #3dbbab); }
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; color: var(--ink); background: light-dark(#fff, #161616); }
table { border-collapse: collapse; margin: 1em 0; }
th, td { padding: 2px 8px; text-align: left; white-space: nowrap; }
th { font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
`;

/**
 * Gives a page.
 * @param body - HTML; the caller escapes all text from outside.
 * @param rules - more CSS.
 */
export const page = (title: string, body: string, rules = ''): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(title)}</title>
<style>${style}${rules}</style>
<h1>${escaped(title)}</h1>
${body}
</html>
`;

/** Gives a row of a table; the columns with the indices in `numbers` are aligned to the right. */
export const row = (tag: 'td' | 'th', cells: readonly string[], numbers: readonly number[] = []): string =>
  `<tr>${cells.map((cell, column) => `<${tag}${numbers.includes(column) ? ' class="number"' : ''}>${escaped(cell)}</${tag}>`).join('')}</tr>`;
