/** Starts workers, with the same interface in Node and in browsers. */
import { builtin } from '../../../platform.js';
import { END_MS, START_MS, startDeadline } from './deadline.js';
import type { Request } from './messages.js';
import workerText from './worker.js?text';

/** A worker of Node or of a browser. */
export interface WorkerHandle {
  /** Posts a message; `transfer` lists the buffers whose ownership moves to the worker. */
  post(message: Request, transfer?: ArrayBuffer[]): void;
  /** Calls the listener with each message of the worker. */
  onMessage(listener: (message: unknown) => void): void;
  /**
   * Calls the listener once if the worker fails, or ends before `terminate`. If `watched` is false, a worker
   * that the browser kills may go unnoticed.
   */
  onFailure(listener: (reason: Error) => void): void;
  /** True if every end of the worker is noticed. Known once the worker is ready. */
  readonly watched: boolean;
  /** Makes the worker keep a Node process running while it is busy. Does nothing in browsers. */
  keepAlive(busy: boolean): void;
  /** Ends the worker; resolves when it has ended, or after 5 seconds. Never rejects. */
  terminate(): Promise<void>;
}

type NodeWorkers = typeof import('node:worker_threads');

/** True if this platform has workers. */
export const hasWorkers = (): boolean =>
  builtin('node:worker_threads') !== undefined ||
  (typeof Worker === 'function' && typeof Blob === 'function' && typeof URL.createObjectURL === 'function');

/** Options of {@link readyWorker}. */
export interface WorkerStart {
  /** Buffers of the first message whose ownership moves to the worker. Default: none. */
  readonly transfer?: ArrayBuffer[];
  /** Browsers only: URL of the worker's program. Default: a blob of its text. */
  readonly workerUrl?: string | URL;
}

function nodeWorker({ Worker: NodeWorker }: NodeWorkers): WorkerHandle {
  const worker = new NodeWorker(workerText, { eval: true, name: 'cnn wasm' });
  let ending = false;
  return {
    post: (message, transfer) => worker.postMessage(message, transfer ?? []),
    onMessage: (listener) => worker.on('message', listener),
    onFailure(listener) {
      worker.once('error', listener);
      worker.once('exit', (code) => {
        if (!ending) listener(new Error(`it ended with code ${code}`));
      });
    },
    watched: true,
    keepAlive: (busy) => (busy ? worker.ref() : worker.unref()),
    async terminate() {
      ending = true;
      await worker.terminate();
    },
  };
}

/** Message that a worker posts once it holds its Web Lock. */
const LOCKED = 'locked';

function browserWorker(workerUrl?: string | URL): WorkerHandle {
  const text = workerUrl ? undefined : new Blob([workerText], { type: 'text/javascript' });
  const url = text ? URL.createObjectURL(text) : workerUrl!;
  const worker = new Worker(url);
  let ending = false;
  const failureListeners: ((reason: Error) => void)[] = [];
  const fail = (reason: string): void => {
    if (!ending) for (const listener of failureListeners.splice(0)) listener(new Error(reason));
  };
  // Shortens the URL for error messages: bundlers inline small files as `data:` URLs of thousands of characters.
  const startFailure = text
    ? "it could not start: a content security policy has to allow 'worker-src blob:', or wasmBackend needs a workerUrl"
    : `it could not start from ${String(workerUrl).slice(0, 99)}`;
  worker.addEventListener('error', (event) => fail(event.message || startFailure));
  // If the browser ends a worker, for instance when memory is short, there is no event. But the browser
  // releases the Web Locks that the worker held. Only secure contexts (https, localhost) have Web Locks, and
  // sandboxed frames and pages whose cookies are blocked may not use them: then some ends are not noticed.
  const { locks } = navigator as { readonly locks?: LockManager };
  const lock = locks && `cnn ${crypto.randomUUID()}`;
  let watched = false;
  const watch = (): void => {
    watched = true;
    locks!
      .request(lock!, () => fail('it ended'))
      .catch(() => {
        watched = false;
      });
  };
  if (lock) worker.postMessage({ lock });
  worker.addEventListener('message', ({ data }) => {
    if (data === LOCKED) watch();
  });
  return {
    post: (message, transfer) => worker.postMessage(message, transfer ?? []),
    onMessage: (listener) =>
      worker.addEventListener('message', ({ data }) => {
        if (data !== LOCKED) listener(data);
      }),
    onFailure: (listener) => void failureListeners.push(listener),
    get watched() {
      return watched;
    },
    keepAlive: () => undefined,
    async terminate() {
      ending = true;
      worker.terminate();
      if (text) URL.revokeObjectURL(String(url));
      if (!watched) return;
      const signal = AbortSignal.timeout(END_MS);
      await locks!.request(lock!, { signal }, () => undefined).catch(() => undefined);
    },
  };
}

/**
 * Starts a worker and resolves when it has answered `ready` to its first message; rejects if it fails before,
 * or has not answered after 30 seconds.
 */
export async function readyWorker(
  first: Request,
  { transfer, workerUrl }: WorkerStart = {},
): Promise<WorkerHandle> {
  const threads = builtin<NodeWorkers>('node:worker_threads');
  const worker = threads ? nodeWorker(threads) : browserWorker(workerUrl);
  let cancel: () => void = () => undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      cancel = startDeadline(START_MS, reject);
      worker.onFailure(reject);
      worker.onMessage((message) => {
        if (message === 'ready') resolve();
      });
      worker.post(first, transfer);
    });
  } catch (error) {
    await worker.terminate();
    throw error;
  } finally {
    cancel();
  }
  worker.keepAlive(false);
  return worker;
}
