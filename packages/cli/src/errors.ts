/** The one kind of error that is the command line's own. */

/** A mistake in what was typed: shown as one sentence, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
