/** The tensors of a file before they are read: found and named, but not yet judged. */
import { FileFormatError } from '../errors.js';
import type { Weights } from '../tensor/tensor.js';
import { type Limits, nameCounter } from './limits.js';
import type { Notes } from './notes.js';
import { quote } from './quote.js';

/** Options of the readers of weight files. */
export interface ReadOptions {
  readonly limits: Limits;
  /** True if the reader may overwrite the bytes, to move values to addresses that are multiples of 4. */
  readonly owned: boolean;
  /** Keys that lead to the state dict, joined by dots. */
  readonly from?: string | undefined;
  readonly notes: Notes;
  readonly signal?: AbortSignal | undefined;
}

/** The tensors of a file. */
export interface Listing<T> {
  /** The tensors by their names in the file, in order. */
  readonly tensors: ReadonlyMap<string, T>;
  /** See `StateDict.within`; default `'file'`. */
  readonly within?: 'file' | 'checkpoint' | 'lightning';
  /** True if a tensor has no dimension. */
  isScalar(tensor: T): boolean;
  /**
   * Reads the values of some of the tensors, under new names.
   * @throws FileFormatError for a tensor that is broken or of an unsupported type, and over a limit.
   */
  read(chosen: ReadonlyMap<string, T>): Promise<Weights>;
}

/**
 * Chooses the tensors whose names start with a prefix, which is removed: for `from` in files that have no
 * dicts.
 * @returns undefined if there is none.
 */
export function under<T>(tensors: ReadonlyMap<string, T>, prefix: string): Map<string, T> | undefined {
  const countName = nameCounter('weight');
  const chosen = new Map<string, T>();
  for (const [name, value] of tensors) {
    if (!name.startsWith(`${prefix}.`)) continue;
    const rest = name.slice(prefix.length + 1);
    countName(rest);
    chosen.set(rest, value);
  }
  return chosen.size > 0 ? chosen : undefined;
}

/**
 * Chooses the tensors under the prefix `from`, all if it is undefined.
 * @throws FileFormatError if there is none.
 */
export function chosenBy<T>(
  format: string,
  tensors: ReadonlyMap<string, T>,
  from: string | undefined,
): ReadonlyMap<string, T> {
  const chosen = from === undefined ? tensors : under(tensors, from);
  if (chosen) return chosen;
  throw new FileFormatError(
    format,
    `no name in it starts with ${quote(`${from}.`)}, which the option 'from' (cnn: --weights-key) names`,
  );
}
