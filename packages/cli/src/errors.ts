/** Errors of the command line, and those of an interrupt. */

/** Wrong command line: the message is printed, and the exit code is 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** True if an error only says that a signal was aborted; after an interrupt a command may fail for other reasons. */
export function isInterrupt(error: unknown, signal: AbortSignal | undefined): boolean {
  if (!signal?.aborted) return false;
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (cause === signal.reason || cause.name === 'AbortError') return true;
  return error === signal.reason;
}
