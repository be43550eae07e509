/** Runs asynchronous work one piece after the other: a program runs one call at a time. */

/** Makes a queue. `enqueue(work)` starts `work` when all work before it has ended, however it ended, and gives its result. */
export function createQueue(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = last.then(work);
    last = result.catch(() => undefined);
    return result;
  };
}
