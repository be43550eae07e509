/** Limits on the sizes a weight file states, checked before memory is allocated: any file may be hostile. */
import { FileFormatError } from '../errors.js';
import { quote } from './quote.js';

/** Upper bounds on the sizes that a file states. Raise one for a file that you trust. */
export interface Limits {
  /**
   * Size of the file in bytes, and of all its decompressed entries together; of an index, of all its files, unless
   * their values stay on disk. Default 2^31: 2 GiB.
   */
  readonly maxBytes: number;
  /**
   * Size of the description of the tensors (JSON, pickle, zip directory) in bytes. Default 2^24: 16 MiB.
   */
  readonly maxHeaderBytes: number;
  /** Number of tensors. Default 20,000. */
  readonly maxTensors: number;
  /** Number of values in all tensors together. Default 2^29, which is 2 GiB as float32. */
  readonly maxElements: number;
}

/** Default limits: enough for every classic network with its optimizer state, too little for a zip bomb. */
export const defaultLimits: Limits = {
  maxBytes: 2 ** 31,
  maxHeaderBytes: 2 ** 24,
  maxTensors: 20_000,
  maxElements: 2 ** 29,
};

/**
 * Completes limits with the defaults; `undefined` counts as not given.
 * @throws TypeError for a limit that is not a number from 0 up.
 */
export function resolveLimits(given: Partial<Limits> = {}): Limits {
  const limit = (name: keyof Limits): number => {
    const value = given[name] ?? defaultLimits[name];
    if (typeof value !== 'number' || !(value >= 0))
      throw new TypeError(`The limit ${name} is a number from 0 up, got ${String(value)}.`);
    return value;
  };
  return {
    maxBytes: limit('maxBytes'),
    maxHeaderBytes: limit('maxHeaderBytes'),
    maxTensors: limit('maxTensors'),
    maxElements: limit('maxElements'),
  };
}

/** Limits of one of several files that share them. */
export interface SharedLimits extends Limits {
  /** Bytes of the files before it, which count towards `maxBytes`. Default 0. */
  readonly bytesBefore?: number;
}

/** A file over a limit. It may be sound, so that a cached download of it is kept. */
export class OverLimit extends FileFormatError {}

/**
 * Throws an OverLimit if a number that a file states exceeds its limit, or is NaN.
 * @param advice - further sentence of the error.
 */
export function withinLimit(
  format: string,
  limits: SharedLimits,
  limit: keyof Limits,
  stated: number,
  offset?: number,
  advice = '',
): void {
  const value = stated + (limit === 'maxBytes' ? (limits.bytesBefore ?? 0) : 0);
  if (!(value <= limits[limit]))
    throw new OverLimit(
      format,
      `it asks for ${value.toLocaleString('en-US')}, over the limit ${limit} of ${limits[limit].toLocaleString('en-US')}. If you trust the file, raise it: readWeights(source, { limits: { ${limit}: ... } }).${advice}`,
      offset,
    );
}

/**
 * Gives the bytes that a compressed file may unpack to: 32 for each byte of it, or 4 MiB. Weights compress to half
 * their size at best, text to a tenth; deflate itself goes to 1032, which is what bombs are made of.
 */
export const unpackedBudget = (packed: number): number => Math.max(2 ** 22, 32 * packed);

/** Makes an array for a whole file. @throws FileFormatError if no array can be that long. */
export function allocated(size: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(size);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new FileFormatError(
      'weight',
      `its ${size.toLocaleString('en-US')} bytes are more than memory, or one array here, can hold. Save the weights alone as safetensors, and read them with onDemand: true, as cnn does`,
    );
  }
}

/**
 * Characters of the longest name in a file. V8 hashes texts from 16,384 characters on by their length alone, so that
 * those of one length collide in every Map, Set and object; and rules of names take longer for long names.
 */
export const MAX_NAME = 4096;

/** Names of a file that may be array indices: see {@link nameCounter}. */
export const MAX_INDEX_NAMES = 256;

/** Requires that a text of a file is short enough to be the key of a Map. @throws FileFormatError if it is not. */
export function requireName(format: string, name: string): void {
  if (name.length > MAX_NAME)
    throw new FileFormatError(
      format,
      `its name ${quote(name)} has ${name.length.toLocaleString('en-US')} characters; names of up to ${MAX_NAME.toLocaleString('en-US')} are read`,
    );
}

/**
 * Gives a function that checks each name of a file before it becomes the key of a Map. It throws for one that is too
 * long, and at the 257th that is an array index ('0', '65536'): many releases of V8 (Node 20.16, 24.4) hash such texts by
 * value, so that they can be made to collide, and 65,000 take 50 seconds. A network has few parameters with such names
 * (ParameterList).
 */
export function nameCounter(format: string): (name: string) => void {
  let count = 0;
  return (name) => {
    requireName(format, name);
    if (isIndexText(name) && ++count > MAX_INDEX_NAMES)
      throw new FileFormatError(format, `more than ${MAX_INDEX_NAMES} of its names are whole numbers`);
  };
}

/** True if a text can be an array index, which has at most ten digits. */
export const isIndexText = (text: string): boolean => text.length <= 10 && /^\d+$/.test(text);

/** Number of values that any file may describe: an expanded tensor has more values than its file stores. */
const SMALL = 2 ** 20;

/**
 * Checks the number of values of all tensors together: at most `maxElements`, and at most 8 a byte of the
 * file (or 2^20). Storages may be shared and strides 0, so that a kilobyte could otherwise become gigabytes.
 * @param bytes - size of all stored values in the file.
 * @throws FileFormatError if either is exceeded.
 */
export function requireElements(format: string, limits: Limits, elements: number, bytes: number): void {
  withinLimit(format, limits, 'maxElements', elements);
  if (elements > Math.max(SMALL, 8 * bytes))
    throw new FileFormatError(
      format,
      `its tensors have ${elements.toLocaleString('en-US')} values, but it stores only ${bytes.toLocaleString('en-US')} bytes of them. Save the tensors after .contiguous().`,
    );
}

/** True if a value is an integer from 0 to 2^53 - 1. */
export const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;

/** True if a value is a list of such integers, at most 64, which is PyTorch's limit on dimensions. */
export const isShape = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.length <= 64 && value.every(isCount);
