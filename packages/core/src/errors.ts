/**
 * The kinds of error a user can meet. One class per kind, so that callers can tell them apart with
 * `instanceof`; every message is a sentence that names the place, both values, and what to do.
 */

/** Shapes, sizes or options that do not fit together. The message starts with the module path where there is one. */
export class ShapeError extends Error {
  override readonly name: string = 'ShapeError';
}

/** A ShapeError of a picture that is too small for the windows that slide over it: a larger one may fit. */
export class InputTooSmall extends ShapeError {}

/** Weights that do not belong to a model. Lists every key, so that a rename rule can be written from the message. */
export class WeightsMismatch extends Error {
  override readonly name = 'WeightsMismatch';
  constructor(
    message: string,
    /** Names the model has and the weights lack. */
    readonly missing: readonly string[],
    /** Names the weights have and the model lacks. */
    readonly unexpected: readonly string[],
    /** Names both have, with different shapes or with values that do not fill theirs. */
    readonly shapeMismatch: readonly string[],
  ) {
    super(message);
  }
}

/** A file that is not what it says: wrong format, truncated, crafted, or over a limit. */
export class FileFormatError extends Error {
  override readonly name = 'FileFormatError';
  constructor(
    /** The format that was being read: `'safetensors'`, `'torch zip'`, `'pickle'`, `'png'`, ... */
    readonly format: string,
    /** What is wrong, as the end of a sentence. */
    readonly reason: string,
    /** Byte offset at which it was noticed, where that is known. */
    readonly offset?: number,
  ) {
    super(`Not a readable ${format} file${offset === undefined ? '' : ` (at byte ${offset})`}: ${reason}`);
  }
}

/** A back end that was asked for and cannot run here; the message says what to install or change. */
export class BackendUnavailable extends Error {
  override readonly name = 'BackendUnavailable';
  constructor(
    /** The back end that was asked for. */
    readonly backend: string,
    message: string,
  ) {
    super(message);
  }
}

/** A back end that gives other results than the CPU path when it is verified; the message has the largest deviation. */
export class VerificationFailed extends Error {
  override readonly name = 'VerificationFailed';
  constructor(
    /** What was verified: `'gpu:webgpu'`. */
    readonly backend: string,
    message: string,
  ) {
    super(message);
  }
}
