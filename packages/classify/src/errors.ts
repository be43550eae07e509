/** The error of this package, with a code that programs can tell apart. Errors of files and networks are those of core. */

/** Reasons of a {@link ClassifyError}, the same in all versions. */
export type ClassifyErrorCode =
  /** No weights were given, and none are published, or they cannot be had from here. */
  | 'ERR_NO_WEIGHTS'
  /** The text given as weights is neither the name of published ones nor a file. */
  | 'ERR_UNKNOWN_WEIGHTS'
  /** The labels are not one name for each output of the network, or cannot be read. */
  | 'ERR_LABELS'
  /** The network has no features to take, or no module at that path. */
  | 'ERR_NO_FEATURES'
  /** The outputs are not numbers: the weights are damaged, or need another preparation of pictures. */
  | 'ERR_NOT_NUMBERS'
  /** Too few or too many examples for a teacher. */
  | 'ERR_EXAMPLES'
  /** The teacher has not been trained. */
  | 'ERR_NOT_TRAINED'
  /** An option is outside of its range. */
  | 'ERR_OPTION'
  /** `dispose` has been called. */
  | 'ERR_DISPOSED';

/** Error of a classifier, an embedder or a teacher; the message is a sentence that says what to do. */
export class ClassifyError extends Error {
  override readonly name = 'ClassifyError';
  constructor(
    /** The reason, for programs. */
    readonly code: ClassifyErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
