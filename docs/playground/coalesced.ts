/** Keeps work that is asked for faster than it is done, such as at each move of a pointer, from piling up. */

/**
 * Wraps work so that one call runs at a time, and at most one waits, whoever asks for it. The waiting one starts when
 * the running one has settled, so it sees the newest state.
 * @returns a function whose promise settles with the first call that starts after it.
 */
export function coalesced(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  let waiting: Promise<void> | undefined;
  const start = (): Promise<void> => {
    waiting = undefined;
    running = work().finally(() => {
      running = undefined;
    });
    return running;
  };
  return () => {
    if (!running) return waiting ?? start();
    waiting ??= running.then(start, start);
    return waiting;
  };
}
