/** Divides long work on a thread that has other events to see to, a page's above all, into slices. */

/** Longest stretch of work in milliseconds on a thread that has other events to see to. */
export const SLICE_MS = 12;

/**
 * Lets other events be handled. In browsers by a message, as timers would wait 4 ms each time, and a second in a
 * tab that is not seen; in Node by what is made for it, as messages there can keep timers waiting.
 */
export const yieldToEventLoop = (): Promise<void> =>
  new Promise((resolve) => {
    if (typeof setImmediate === 'function') {
      setImmediate(resolve);
      return;
    }
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });

/**
 * Starts a slice of 12 ms. Call the result after each piece of work: when the slice is over it yields to the event loop,
 * and starts the next one.
 * @param signal - where it is aborted after a yield, the call rejects with its reason.
 */
export function timeSlices(signal?: AbortSignal): () => Promise<void> {
  let since = performance.now();
  return async () => {
    if (performance.now() - since < SLICE_MS) return;
    await yieldToEventLoop();
    signal?.throwIfAborted();
    since = performance.now();
  };
}
