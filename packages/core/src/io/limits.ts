/** How much of a weight file is believed before memory is taken for it. Files are hostile until read. */
import { FileFormatError } from '../errors.js';

/** Upper bounds; each can be raised by who knows the file. */
export interface Limits {
  /** Size of the whole file in bytes. Default 4 GiB. */
  readonly maxBytes: number;
  /** Size of the part that describes the tensors, in bytes. Default 64 MiB. */
  readonly maxHeaderBytes: number;
  /** Number of tensors. Default 100,000. */
  readonly maxTensors: number;
  /** Values in all tensors together. Default 2^30. */
  readonly maxElements: number;
}

/** The bounds when none are given: room for every classic network, none for a bomb. */
export const defaultLimits: Limits = {
  maxBytes: 2 ** 32,
  maxHeaderBytes: 2 ** 26,
  maxTensors: 100_000,
  maxElements: 2 ** 30,
};

/** Throws when a number that a file gives is over its limit. */
export function withinLimit(
  format: string,
  limits: Limits,
  limit: keyof Limits,
  value: number,
  offset?: number,
): void {
  if (value > limits[limit])
    throw new FileFormatError(
      format,
      `it asks for ${value.toLocaleString('en-US')}, over the limit ${limit} of ${limits[limit].toLocaleString('en-US')}. Raise the limit if you trust the file.`,
      offset,
    );
}
