/** Abort signals: recognises them, and ends waits by them. */
import { describeValue } from './realms.js';

/** True for an AbortSignal of any realm, and for those of libraries that imitate it. */
export const isSignal = (value: unknown): value is AbortSignal =>
  typeof value === 'object' &&
  value !== null &&
  ['throwIfAborted', 'addEventListener', 'removeEventListener'].every(
    (method) => typeof value[method as keyof object] === 'function',
  );

/**
 * Throws the reason of a signal that is aborted.
 * @throws TypeError for a value that is no AbortSignal, of any realm.
 */
export function checkSignal(signal: AbortSignal | null | undefined): void {
  if (signal === undefined || signal === null) return;
  if (!isSignal(signal))
    throw new TypeError(`The option 'signal' is an AbortSignal, got ${describeValue(signal)}.`);
  signal.throwIfAborted();
}

/** Waits for a promise. An abort of the signal rejects at once, with its reason; the promise goes on unheard. */
export function unlessAborted<T>(promise: PromiseLike<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const settled = new AbortController();
    const abort = (): void => reject(signal?.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort, { signal: settled.signal });
    promise.then(resolve, reject).then(() => settled.abort());
  });
}
