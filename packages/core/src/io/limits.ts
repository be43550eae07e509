/** How much of a weight file is believed before memory is taken for it. Files are hostile until read. */
import { FileFormatError } from '../errors.js';

/** Upper bounds on what a file may ask for; each can be raised by who knows the file. */
export interface Limits {
  /** Size of the whole file in bytes, and of what its compressed entries grow to. Default 2 GiB. */
  readonly maxBytes: number;
  /** Size of the part that describes the tensors (JSON header, pickle, zip directory) in bytes. Default 16 MiB. */
  readonly maxHeaderBytes: number;
  /** Number of tensors. Default 20,000. */
  readonly maxTensors: number;
  /** Values in all tensors together. Default 2^29, which is 2 GiB as float32. */
  readonly maxElements: number;
}

/** The bounds when none are given: room for every classic network with its optimizer, none for a bomb. */
export const defaultLimits: Limits = {
  maxBytes: 2 ** 31,
  maxHeaderBytes: 2 ** 24,
  maxTensors: 20_000,
  maxElements: 2 ** 29,
};

/**
 * The limits with defaults for those not given (`undefined` counts as not given).
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

/** A file over a limit: it may be as sound as any, so that nobody deletes it for that. */
export class OverLimit extends FileFormatError {}

/** Throws when a number that a file gives is over its limit. Not-a-number is over every limit. */
export function withinLimit(
  format: string,
  limits: Limits,
  limit: keyof Limits,
  value: number,
  offset?: number,
): void {
  if (!(value <= limits[limit]))
    throw new OverLimit(
      format,
      `it asks for ${value.toLocaleString('en-US')}, over the limit ${limit} of ${limits[limit].toLocaleString('en-US')}. Raise the limit if you trust the file.`,
      offset,
    );
}

/** Values that any file may describe, however small it is: an expanded tensor stores fewer than it shows. */
const SMALL = 2 ** 20;

/**
 * Checks the values of all tensors together: within `maxElements`, and not out of proportion to the file.
 * Storages may be shared and strides may be 0, so that a kilobyte could otherwise ask for gigabytes.
 * @param bytes - size of the values as they lie in the file.
 */
export function requireElements(format: string, limits: Limits, elements: number, bytes: number): void {
  withinLimit(format, limits, 'maxElements', elements);
  if (elements > Math.max(SMALL, 8 * bytes))
    throw new FileFormatError(
      format,
      `its tensors show ${elements.toLocaleString('en-US')} values, but it holds only ${bytes.toLocaleString('en-US')} bytes of them. Save the tensors after .contiguous().`,
    );
}

/** Whether a value is a whole number from 0 up that is exact. */
export const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;

/** Whether a value is a list of such numbers that can be a shape. PyTorch itself stops at 64 dimensions. */
export const isShape = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.length <= 64 && value.every(isCount);
