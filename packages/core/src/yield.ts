/** Divides long work into slices, between which the event loop handles other events, above all a page's. */

/** Longest time without yielding to the event loop, in milliseconds. */
export const SLICE_MS = 12;

/**
 * Yields to the event loop. In browsers by a message, since timers wait 4 ms each, and a second in a hidden
 * tab; in Node by `setImmediate`, since messages there can starve timers.
 */
export const yieldToEventLoop = (): Promise<void> =>
  new Promise((resolve) => {
    if (typeof setImmediate === 'function') {
      setImmediate(resolve);
      return;
    }
    // Test environments that imitate browsers, and some edge runtimes, have timers only.
    if (typeof MessageChannel !== 'function') {
      setTimeout(resolve);
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
 * Starts a slice. Call the result after each piece of work: if the slice is older than `SLICE_MS`, it
 * yields and starts the next one.
 * @param signal - if it is aborted after a yield, the call rejects with its reason.
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
