/**
 * Reads the JSON header of a safetensors file. JSON.parse alone accepts duplicate names and allocates
 * whatever the text describes; so the text is scanned first.
 */
import { FileFormatError } from '../errors.js';
import { excerpt } from '../printable.js';
import { type Limits, nameCounter, withinLimit } from './limits.js';
import { quote } from './quote.js';

const format = 'safetensors';

/**
 * A header: its entries by name, and the names in the order of the file (an object would put '0' before 'a').
 */
export interface JsonHeader {
  readonly names: readonly string[];
  readonly entries: Readonly<Record<string, unknown>>;
}

/** Nesting of a header: the object of all entries, an entry's object, its list of extents or offsets. */
const MAX_DEPTH = 3;

/**
 * Parses a header.
 * @param text - the JSON text, which starts at byte 8 of the file.
 * @throws FileFormatError for text that is no JSON object, deep nesting, too many entries, duplicate names.
 */
export function parseHeader(text: string, limits: Limits): JsonHeader {
  const names = scan(text, limits);
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch (error) {
    throw new FileFormatError(format, `its header is not JSON (${excerpt((error as Error).message)})`, 8);
  }
  if (typeof entries !== 'object' || entries === null || Array.isArray(entries))
    throw new FileFormatError(format, 'its header is not a JSON object', 8);
  return { names, entries: entries as Record<string, unknown> };
}

/**
 * Checks nesting, number of entries and duplicates, and gives the top-level names. The text may be malformed.
 */
function scan(text: string, limits: Limits): readonly string[] {
  const fail = (reason: string, at: number): never => {
    throw new FileFormatError(format, reason, 8 + at);
  };
  const names: string[] = [];
  /** Names seen so far in each open object, outermost first; undefined for an open list. */
  const open: (Set<string> | undefined)[] = [];
  const countName = nameCounter(format);
  let containers = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '{':
      case '[':
        if (open.length === MAX_DEPTH) fail(`its header goes deeper than ${MAX_DEPTH} levels`, at);
        open.push(text[at] === '{' ? new Set() : undefined);
        // Three containers an entry: its object, with two lists. Two more: the header and `__metadata__`.
        containers++;
        withinLimit(format, limits, 'maxTensors', Math.ceil((containers - 2) / 3), 8 + at);
        break;
      case '}':
      case ']':
        open.pop();
        break;
      case '"': {
        const end = endOfString(text, at);
        const seen = open.at(-1);
        if (seen && isName(text, end)) {
          const name = decoded(text.slice(at, end)) ?? fail('its header is not JSON (a broken text)', at);
          if (seen.has(name)) fail(`its header has the name ${quote(name)} twice`, at);
          countName(name);
          seen.add(name);
          // Metadata too: one name more than there may be tensors is its own.
          withinLimit(format, limits, 'maxTensors', seen.size - 1, 8 + at);
          if (open.length === 1) names.push(name);
        }
        at = end - 1;
        break;
      }
    }
  }
  return names;
}

/** Gives the index after the closing quote of the string that starts at `start`. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
}

/** True if a colon follows: the string is a name, not a value. */
function isName(text: string, end: number): boolean {
  let at = end;
  while (at < text.length && /\s/.test(text[at]!)) at++;
  return text[at] === ':';
}

function decoded(quoted: string): string | undefined {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return undefined;
  }
}
