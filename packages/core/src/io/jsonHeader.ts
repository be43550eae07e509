/**
 * Parses the JSON of weight files: headers of safetensors and indexes. JSON.parse alone accepts duplicate names, and takes
 * time and memory for whatever the text describes; so the text is scanned first.
 */
import { FileFormatError } from '../errors.js';
import { excerpt } from '../printable.js';
import { type Limits, MAX_NAME, nameCounter, withinLimit } from './limits.js';
import { quote } from './quote.js';

/** A JSON object: its values by name, and the names in the order of the text (an object would put '0' before 'a'). */
export interface JsonHeader {
  readonly names: readonly string[];
  readonly entries: Readonly<Record<string, unknown>>;
}

/** Nesting of a header: the object of all entries, an entry's object, its list of extents or offsets. */
const MAX_DEPTH = 3;

/** Values of a list: the extents of a tensor. */
const MAX_ITEMS = 64;

/**
 * Parses a header or an index.
 * @param text - the JSON text.
 * @param start - offset of the text in the file, for errors.
 * @throws FileFormatError for text that is no JSON object, deep nesting, too many entries, duplicate names.
 */
export function parseHeader(format: string, text: string, start: number, limits: Limits): JsonHeader {
  const names = scan(format, text, start, limits);
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch (error) {
    throw new FileFormatError(format, `its JSON is damaged (${excerpt((error as Error).message)})`, start);
  }
  if (typeof entries !== 'object' || entries === null || Array.isArray(entries))
    throw new FileFormatError(format, 'its JSON is not an object', start);
  return { names, entries: entries as Record<string, unknown> };
}

/** An object or list that the scan has not seen the end of. */
interface Open {
  /** Names of an object so far; undefined for a list. */
  readonly names: Set<string> | undefined;
  /** Commas of a list so far. */
  commas: number;
}

/**
 * Checks nesting, lengths of lists, number of entries and duplicates, and gives the top-level names. The text may be
 * malformed.
 */
function scan(format: string, text: string, start: number, limits: Limits): readonly string[] {
  const fail = (reason: string, at: number): never => {
    throw new FileFormatError(format, reason, start + at);
  };
  const names: string[] = [];
  /** Outermost first. */
  const open: Open[] = [];
  const countName = nameCounter(format);
  let containers = 0;
  let named = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case OBJECT:
      case LIST:
        if (open.length === MAX_DEPTH) fail(`its JSON goes deeper than ${MAX_DEPTH} levels`, at);
        open.push({ names: text.charCodeAt(at) === OBJECT ? new Set() : undefined, commas: 0 });
        // Three containers an entry: its object, with two lists. Two more: the header and `__metadata__`.
        containers++;
        withinLimit(format, limits, 'maxTensors', Math.ceil((containers - 2) / 3), start + at);
        break;
      case END_OF_OBJECT:
      case END_OF_LIST:
        open.pop();
        break;
      case COMMA: {
        const list = open.at(-1);
        if (list && !list.names && ++list.commas === MAX_ITEMS)
          fail(`its JSON has a list of more than ${MAX_ITEMS} values`, at);
        break;
      }
      case MINUS:
      case POINT:
      case EXPONENT:
      case EXPONENT + 0x20:
        // As the format's own reader in Rust, which takes no -0 and no 1e0: JSON.parse makes whole numbers of them.
        if (open.at(-1)?.names === undefined && open.length > 0)
          fail(`the entry ${quote(names.at(-1) ?? '')} has a list of other values than whole numbers`, at);
        break;
      case QUOTE: {
        const end = endOfString(text, at);
        const seen = open.at(-1)?.names;
        if (seen && isName(text, end)) {
          // Every character has at most six in JSON; a longer text is not decoded.
          const isLong = end - at > 6 * MAX_NAME + 2;
          const name = isLong ? text.slice(at + 1, end - 1) : decoded(text.slice(at, end));
          if (name === undefined) return fail('its JSON is damaged (a broken text)', at);
          countName(name);
          if (seen.has(name)) fail(`its JSON has the name ${quote(name)} twice`, at);
          seen.add(name);
          // Metadata too: one name more than there may be tensors is its own.
          withinLimit(format, limits, 'maxTensors', seen.size - 1, start + at);
          // Five names an entry: its own, those of its type, shape and offsets, and one of the metadata.
          withinLimit(format, limits, 'maxTensors', Math.ceil((++named - 2) / 5), start + at);
          if (open.length === 1) names.push(name);
        }
        at = end - 1;
        break;
      }
    }
  }
  return names;
}

const [OBJECT, END_OF_OBJECT, LIST, END_OF_LIST] = [0x7b, 0x7d, 0x5b, 0x5d];
const [QUOTE, COMMA, BACKSLASH, SPACE] = [0x22, 0x2c, 0x5c, 0x20];
/** Characters of JSON's numbers that are not written in digits alone: of `-0`, `1.0`, `1E0` and `1e0`. */
const [MINUS, POINT, EXPONENT] = [0x2d, 0x2e, 0x45];

/** Gives the index after the closing quote of the string that starts at `start`. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === BACKSLASH) at++;
    else if (code === QUOTE) return at + 1;
  }
  return text.length;
}

/** True if a colon follows: the string is a name, not a value. */
function isName(text: string, end: number): boolean {
  let at = end;
  while (text.charCodeAt(at) <= SPACE) at++;
  return text[at] === ':';
}

function decoded(quoted: string): string | undefined {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return undefined;
  }
}
