/**
 * The errors a user can meet. One class per kind, so that callers can tell them apart with `instanceof`;
 * every message is a sentence with the place, both values, and what to do, and `code` stays the same in all versions, also
 * where two copies of the package make `instanceof` fail.
 */
import { printable } from './printable.js';

/** Shapes, sizes or options that do not fit together. The message starts with the module path, if any. */
export class ShapeError extends Error {
  override readonly name: string = 'ShapeError';
  readonly code = 'ERR_SHAPE';
}

/** An input smaller than a pooling or convolution window that slides over it; a larger picture may fit. */
export class InputTooSmall extends ShapeError {}

/** Weights that do not fit a model. The message lists the first keys of each kind, the properties all. */
export class WeightsMismatch extends Error {
  override readonly name = 'WeightsMismatch';
  readonly code = 'ERR_WEIGHTS_MISMATCH';
  constructor(
    message: string,
    /** Names of the model that the weights lack. */
    readonly missing: readonly string[],
    /** Names of the weights that the model lacks. */
    readonly unexpected: readonly string[],
    /** Names in both whose shapes differ, or whose number of values is not that of the shape. */
    readonly shapeMismatch: readonly string[],
  ) {
    super(message);
  }
}

/**
 * A file that cannot be read: of the wrong format, truncated, crafted, or over a limit. Control characters that the
 * reason quotes from the file are escaped.
 */
export class FileFormatError extends Error {
  override readonly name = 'FileFormatError';
  readonly code = 'ERR_FILE_FORMAT';
  /** The fault, as the end of a sentence: `'it is empty'`. */
  readonly reason: string;
  constructor(
    /** The expected format: `'safetensors'`, `'torch zip'`, `'pickle'`, `'png'`, ... */
    readonly format: string,
    reason: string,
    /** Offset of the fault in bytes, if it is known. */
    readonly offset?: number,
  ) {
    const shown = printable(reason);
    super(`Not a readable ${format} file${offset === undefined ? '' : ` (at byte ${offset})`}: ${shown}`);
    this.reason = shown;
  }
}

/** A requested back end that cannot run here; the message says what to install or change. */
export class BackendUnavailable extends Error {
  override readonly name = 'BackendUnavailable';
  readonly code = 'ERR_BACKEND_UNAVAILABLE';
  constructor(
    /** The requested back end. */
    readonly backend: string,
    message: string,
  ) {
    super(message);
  }
}

/** A back end whose results differ from the CPU back end's; the message gives the largest deviation. */
export class VerificationFailed extends Error {
  override readonly name = 'VerificationFailed';
  readonly code = 'ERR_VERIFICATION_FAILED';
  constructor(
    /** The back end that was verified: `'gpu:webgpu'`. */
    readonly backend: string,
    message: string,
  ) {
    super(message);
  }
}
