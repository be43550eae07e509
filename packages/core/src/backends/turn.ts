/** Long work on a thread that has other events to see to, a page's above all: it is done in slices. */

/** Longest stretch of work in milliseconds on a thread that has other events to see to. */
export const SLICE = 12;

/**
 * Lets other events have their turn. In browsers by a message, as timers would wait 4 ms each time, and a second in a
 * tab that is not seen; in Node by what is made for it, as messages there can keep timers waiting.
 */
export const nextTurn = (): Promise<void> =>
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
