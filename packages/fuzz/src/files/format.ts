/** Formats of files as the fuzzer sees them: valid models, damages to them, an encoder and the reader under test. */
import { FileFormatError, sizeOf, type Weights } from '@cnn/core';
import type { Draw } from '../draw.js';
import { damagedBytes } from './damage.js';

/** Size of a result, or of the one that a file states. */
export interface Size {
  /** Pixels, or values of tensors. */
  readonly values: number;
  readonly bytes: number;
}

/** Changes a model in place, so that its file is wrong in one respect and right in the others. */
export type Damage<M> = (model: M, draw: Draw) => void;

/** Parts of a format that do not depend on its models. */
interface Reader {
  readonly name: string;
  /** Length in bytes of the part of a file by which the reader recognizes it. */
  readonly signature: number;
  /** Reads a file. @throws Contradiction if parts of the result do not agree. */
  read(bytes: Uint8Array): Promise<Size>;
  /** Gives the size of the result that the header of a file states, within the reader's limits. Default: none. */
  stated?(bytes: Uint8Array): Size;
  /** True for the errors that the reader promises. Default: FileFormatError. */
  isPromised?(error: unknown): boolean;
}

/** A format with models of type M. */
export interface FormatOf<M> extends Reader {
  /** Makes the model of a valid file. */
  make(draw: Draw): M;
  readonly damages: readonly Damage<M>[];
  encode(model: M): Uint8Array;
  /** Gives the bytes of all entries of a compressed file, unpacked. Default: those of the file. */
  unpackedBytes?(model: M): number;
}

/** A file from the generator. */
export interface Crafted {
  readonly bytes: Uint8Array;
  /** True if nothing is damaged, so that the file must be read. */
  readonly isValid: boolean;
  /** Bytes of the file, or of all its entries, unpacked, if they are more. */
  readonly unpackedBytes: number;
}

/** A format whose models are hidden. */
export interface Format extends Required<Reader> {
  craft(draw: Draw): Crafted;
}

/** A result that contradicts itself. */
export class Contradiction extends Error {
  override readonly name = 'Contradiction';
}

/** Throws a Contradiction with the reason unless `holds`. */
export function require(holds: boolean, reason: () => string): void {
  if (!holds) throw new Contradiction(reason());
}

export const NOTHING: Size = { values: 0, bytes: 0 };

/** Hides the models of a format. */
export const format = <M>({ make, damages, encode, unpackedBytes, ...reader }: FormatOf<M>): Format => ({
  stated: () => NOTHING,
  isPromised: (error) => error instanceof FileFormatError,
  ...reader,
  craft(draw) {
    const model = make(draw);
    const count = draw.pick([0, 1, 1, 1, 1, 2, 2, 3, 5]);
    for (let i = 0; i < count; i++) draw.pick(damages)(model, draw);
    const unpacked = unpackedBytes?.(model) ?? 0;
    let bytes = encode(model);
    // Blind damage, most of which ends at a checksum or the first length, is the smaller part.
    const blind = draw.chance(0.2) ? draw.between(1, 2) : 0;
    for (let i = 0; i < blind && bytes.length > 0; i++) bytes = damagedBytes(bytes, draw);
    return { bytes, isValid: count + blind === 0, unpackedBytes: Math.max(bytes.length, unpacked) };
  },
});

/** Checks weights against their shapes, reads all values, and gives the size. */
export function sizeOfWeights(weights: Weights): Size {
  let values = 0;
  for (const [name, { shape, data }] of weights) {
    const isShape = shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0);
    const count = shape.includes(0) ? 0 : sizeOf(shape);
    require(isShape && data instanceof Float32Array && data.length === count, () =>
      `${name} of ${shape.join(' x ')} comes with ${data.length} values`);
    values += data.length;
  }
  return { values, bytes: 4 * values };
}
