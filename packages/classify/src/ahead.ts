/** Work ahead of a reader, within bounds: pictures are decoded while the network computes, and results wait for the reader. */
import { unlessAborted } from '@cnn/core/graph';

/**
 * Runs a generator ahead of its reader: while the reader works on a value, the next ones are made.
 * @param count - largest number of values made ahead.
 * @param signal - ends the wait for a value; throws the signal's reason.
 */
export async function* ahead<T>(
  source: AsyncGenerator<T, void>,
  count: number,
  signal: AbortSignal,
): AsyncGenerator<T, void> {
  const pending: Promise<IteratorResult<T, void>>[] = [];
  // A generator makes its values one after the other, however often it is asked. An error waits for its turn.
  const ask = (): void => {
    const next = source.next();
    next.catch(() => undefined);
    pending.push(next);
  };
  try {
    ask();
    for (let next = pending.shift(); next; next = pending.shift()) {
      const { value, done } = await unlessAborted(next, signal);
      if (done) return;
      while (pending.length < count) ask();
      yield value as T;
    }
  } finally {
    // Not awaited: a source that waits for its next picture, as a camera does, would keep the reader from leaving.
    source.return().catch(() => undefined);
  }
}

/** Makes a function that runs work, at most `count` pieces at a time, in the order of the calls. */
export function limited(count: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (running < count) running++;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      // The place goes to the next one, or becomes free.
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}
