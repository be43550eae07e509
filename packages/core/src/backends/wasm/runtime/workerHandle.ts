/** Starts workers, with the same interface in Node and in browsers. */
import { builtin } from '../../../platform.js';
import { END_MS } from './deadline.js';
import type { Request } from './messages.js';
import workerText from './worker.js?text';

/** A worker of Node or of a browser. */
export interface WorkerHandle {
  /** Posts a message; `transfer` lists the buffers whose ownership moves to the worker. */
  post(message: Request, transfer?: ArrayBuffer[]): void;
  /**
   * True if every end of the worker is noticed. If false, a worker that the browser kills may go unnoticed. Known
   * once the worker has posted a message.
   */
  readonly watched: boolean;
  /** Makes the worker keep a Node process running while it is busy, as a new one does. Does nothing in browsers. */
  keepAlive(busy: boolean): void;
  /** Ends the worker; resolves when it has ended, or after 5 seconds. Never rejects. */
  terminate(): Promise<unknown>;
}

/** Listeners of a worker. Those of a worker that was ended by `terminate` may be called once more. */
export interface WorkerListeners {
  message(message: unknown): void;
  /** Called if the worker fails or ends; in browsers also if it could not start. */
  failure(reason: Error): void;
}

type NodeWorkers = typeof import('node:worker_threads');

/** True if this platform has workers. */
export const hasWorkers = (): boolean =>
  builtin('node:worker_threads') !== undefined ||
  (typeof Worker === 'function' && typeof Blob === 'function' && typeof URL.createObjectURL === 'function');

function nodeWorker(
  { Worker: NodeWorker }: NodeWorkers,
  { message, failure }: WorkerListeners,
): WorkerHandle {
  const worker = new NodeWorker(workerText, { eval: true, name: 'cnn wasm' });
  worker.on('message', message);
  worker.on('error', failure);
  worker.once('exit', (code) => failure(new Error(`it ended with code ${code}`)));
  return {
    post: (request, transfer) => worker.postMessage(request, transfer),
    watched: true,
    keepAlive: (busy) => (busy ? worker.ref() : worker.unref()),
    terminate: () => worker.terminate(),
  };
}

/** Message that a worker posts once it holds its Web Lock. */
const LOCKED = 'locked';

function browserWorker({ message, failure }: WorkerListeners, workerUrl?: string | URL): WorkerHandle {
  const text = workerUrl ? undefined : new Blob([workerText], { type: 'text/javascript' });
  const url = text ? URL.createObjectURL(text) : workerUrl!;
  const worker = new Worker(url);
  const fail = (reason: string): void => failure(new Error(reason));
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
  // Shortens the URL: bundlers inline small files as `data:` URLs of thousands of characters.
  const advice = text
    ? "it could not start: a content security policy has to allow 'worker-src blob:', or wasmBackend needs a workerUrl"
    : `it could not start from ${String(workerUrl).slice(0, 99)}, which has to be @cnn/core/worker.js of this version, in isolated pages with the header Cross-Origin-Embedder-Policy`;
  worker.addEventListener('error', ({ message: thrown = '' }) => {
    // A script that is refused throws nothing. Servers answer unknown paths with a page, which is no script.
    const started = thrown && (text || !thrown.includes('SyntaxError'));
    fail(started ? thrown : advice + (thrown && `; ${thrown}`));
  });
  worker.addEventListener('message', ({ data }) => {
    if (data === LOCKED) watch();
    else message(data);
  });
  if (lock) worker.postMessage({ lock });
  return {
    post: (request, transfer = []) => worker.postMessage(request, transfer),
    get watched() {
      return watched;
    },
    keepAlive: () => undefined,
    async terminate() {
      worker.terminate();
      if (text) URL.revokeObjectURL(String(url));
      if (!watched) return;
      const signal = AbortSignal.timeout(END_MS);
      await locks!.request(lock!, { signal }, () => undefined).catch(() => undefined);
    },
  };
}

/**
 * Starts a worker.
 * @param workerUrl - browsers only: URL of the worker's program. Default: a blob of its text.
 */
export function startWorker(listeners: WorkerListeners, workerUrl?: string | URL): WorkerHandle {
  const threads = builtin<NodeWorkers>('node:worker_threads');
  return threads ? nodeWorker(threads, listeners) : browserWorker(listeners, workerUrl);
}
