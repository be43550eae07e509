/** Reads archives of numpy arrays (`.npz`, from numpy.savez), each a `.npy` file of a header and values. */

import { FileFormatError } from '../errors.js';
import type { Weights } from '../tensor/tensor.js';
import { type ArrayReference, numpyType, stridesOf } from './arrays.js';
import { converter, countOf } from './convert.js';
import { bytesPerValue } from './dtype.js';
import type { FileBytes } from './fileBytes.js';
import { isShape, nameCounter, requireElements, withinLimit } from './limits.js';
import { chosenBy, type Listing, type ReadOptions } from './listing.js';
import { quote } from './quote.js';
import { textDecoder } from './text.js';
import { entryBytes, type ZipEntry } from './zip.js';

const format = 'npz';

/** True if an archive holds arrays of numpy alone. */
export const isNpz = (entries: ReadonlyMap<string, ZipEntry>): boolean =>
  entries.size > 0 && [...entries.keys()].every((name) => name.endsWith('.npy'));

/** Lists the arrays of an archive, by the names of their files without `.npy`. */
export function listNpz(
  file: FileBytes,
  entries: ReadonlyMap<string, ZipEntry>,
  { limits, from, signal }: ReadOptions,
): Listing<ZipEntry> {
  const count = nameCounter(format);
  const all = new Map(
    [...entries].map(([path, entry]) => {
      const name = path.slice(0, -'.npy'.length);
      count(name);
      return [name, entry];
    }),
  );
  return {
    tensors: chosenBy(format, all, from),
    isScalar: () => false,
    async read(chosen) {
      withinLimit(format, limits, 'maxTensors', chosen.size);
      const convert = converter(format, signal);
      const weights: Weights = new Map();
      let elements = 0;
      for (const [name, entry] of chosen) {
        const bytes = await entryBytes(file, entry, signal);
        const { array, start } = headerOf(name, bytes);
        elements += countOf(array.shape);
        requireElements(format, limits, elements, file.length);
        weights.set(name, await convert.tensor(name, array, bytes.subarray(start), true));
      }
      return weights;
    },
  };
}

/**
 * Reads a Python dict of texts, truth values and tuples of numbers; gives them as they are written, by their keys.
 * Undefined for all other text, and for a key that occurs twice, of which Python would take the last.
 */
function fieldsOf(text: string): Readonly<Record<string, string>> | undefined {
  const body = /^\s*\{(.*)\}\s*$/s.exec(text)?.[1];
  if (body === undefined) return undefined;
  const field = /\s*'(\w+)'\s*:\s*('[^'\\]*'|True|False|\([^()]*\))\s*(?:,\s*|$)/y;
  const fields = new Map<string, string>();
  while (field.lastIndex < body.length) {
    const [, key, value] = field.exec(body) ?? [];
    if (key === undefined || value === undefined || fields.has(key)) return undefined;
    fields.set(key, value);
  }
  return Object.fromEntries(fields);
}

/** True for Python's text of a tuple of whole numbers, as `(3, 4)`, `(3,)` and `()`; Python 2 wrote `(3L,)`. */
const isTuple = (text = ''): text is string => /^\(\s*((\d+L?\s*,\s*)+(\d+L?\s*)?)?\)$/.test(text);

/**
 * Reads the header of a `.npy` file: magic and version (8 bytes), length of the text (2 bytes, 4 from version
 * 2 on), and a Python dict as text: `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
 * @returns the array, and the offset of its values in bytes.
 */
function headerOf(
  name: string,
  file: Uint8Array,
): { readonly array: Omit<ArrayReference, 'storage'>; readonly start: number } {
  const fail = (reason: string): never => {
    throw new FileFormatError(format, `the array ${quote(name)} ${reason}`);
  };
  const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
  if (file.length < 12 || !magic.every((byte, i) => file[i] === byte)) return fail('is no .npy file');
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const isShort = file[6] === 1;
  const length = isShort ? view.getUint16(8, true) : view.getUint32(8, true);
  const start = (isShort ? 10 : 12) + length;
  if (start > file.length || length > 2 ** 16) return fail('has a header beyond its end');
  const text = textDecoder().decode(file.subarray(isShort ? 10 : 12, start));
  if (/'descr'\s*:\s*\[/.test(text)) return fail('has several fields; save plain arrays');
  const { descr, shape: extents, fortran_order: order, ...others } = fieldsOf(text) ?? {};
  const type = /^'(.*)'$/.exec(descr ?? '')?.[1];
  const shape = isTuple(extents) ? (extents.match(/\d+/g) ?? []).map(Number) : undefined;
  if (
    type === undefined ||
    (order !== 'True' && order !== 'False') ||
    !isShape(shape) ||
    Object.keys(others).length > 0
  )
    return fail('has a damaged header');
  const dtype = numpyType(type.replace(/^[<>|=]/, ''));
  if (!dtype)
    return fail(
      `is of numpy's type ${quote(type)}, which is not supported. Save it with .astype('float32'), or leave it out with the 'rename' option.`,
    );
  const needed = countOf(shape) * bytesPerValue(dtype);
  if (file.length - start !== needed)
    return fail(`needs ${needed} bytes for its shape, but has ${file.length - start}`);
  return {
    array: {
      dtype,
      offset: 0,
      shape,
      strides: stridesOf(shape, order === 'True'),
      negated: false,
      littleEndian: !type.startsWith('>'),
    },
    start,
  };
}
