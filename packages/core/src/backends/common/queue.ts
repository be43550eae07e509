/** A queue of asynchronous work: a program runs one call at a time. */

/**
 * Makes a queue: a function that starts `work` once all earlier work has settled, and gives its result. An
 * error rejects that result only.
 */
export function createQueue(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = last.then(work);
    // Drops the result: the queue would keep the last one in memory.
    last = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  };
}
