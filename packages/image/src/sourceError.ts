/** The error for what is given as a picture but is none, or cannot be reached: a file that is not there, a closed bitmap. */

/** Reasons of a {@link SourceError}, the same in all versions. */
export type SourceErrorCode =
  /** The value is of a kind that is no picture. */
  | 'ERR_SOURCE_TYPE'
  /** There is no such file, or the server says so (404, 410). */
  | 'ERR_SOURCE_NOT_FOUND'
  /** The file, address or element cannot be read. */
  | 'ERR_SOURCE_UNREADABLE'
  /** The file has too many bytes, or the picture too many pixels. */
  | 'ERR_SOURCE_TOO_LARGE';

/** Error of a source that is no picture or cannot be read; damaged files are a `FileFormatError`. */
export class SourceError extends Error {
  override readonly name = 'SourceError';
  constructor(
    /** The reason, for programs. */
    readonly code: SourceErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
