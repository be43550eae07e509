/** Starts workers in Node and in browsers, behind one small interface. */
import { builtin } from '../../../platform.js';
import type { Request } from './messages.js';
import workerText from './worker.js?text';

/** A worker. */
export interface WorkerHandle {
  post(message: Request, transfer?: ArrayBuffer[]): void;
  onMessage(listener: (message: unknown) => void): void;
  /** Called once if the worker fails or ends without having been asked to. */
  onFailure(listener: (reason: Error) => void): void;
  /** Whether the worker keeps a Node process running. */
  hold(busy: boolean): void;
  /** Ends the worker; resolves when it has ended. */
  terminate(): Promise<void>;
}

type NodeWorkers = typeof import('node:worker_threads');

/** Whether workers can be started at all. */
export const hasWorkers = (): boolean =>
  builtin('node:worker_threads') !== undefined ||
  (typeof Worker === 'function' && typeof Blob === 'function' && typeof URL.createObjectURL === 'function');

/** How a worker is started. */
export interface WorkerStart {
  /** What of the first message is handed over. */
  readonly transfer?: ArrayBuffer[];
  /** Where a browser finds the program. Default: it is started from its text. */
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
    hold: (busy) => (busy ? worker.ref() : worker.unref()),
    async terminate() {
      ending = true;
      await worker.terminate();
    },
  };
}

function browserWorker(workerUrl?: string | URL): WorkerHandle {
  const text = workerUrl ? undefined : new Blob([workerText], { type: 'text/javascript' });
  const url = text ? URL.createObjectURL(text) : workerUrl!;
  const worker = new Worker(url);
  let ending = false;
  const failed: ((reason: Error) => void)[] = [];
  const fail = (reason: string): void => {
    if (!ending) for (const listener of failed.splice(0)) listener(new Error(reason));
  };
  const refused = text
    ? "it could not start: a content security policy has to allow 'worker-src blob:', or wasmBackend needs a workerUrl"
    : `it could not start from ${workerUrl}`;
  worker.addEventListener('error', (event) => fail(event.message || refused));
  // A worker that the browser ends, for want of memory for instance, sends no event. But a lock that it
  // holds is free again then. Pages that do not come by a secure way have no locks.
  const lock = navigator.locks ? `cnn ${crypto.randomUUID()}` : undefined;
  if (lock) {
    worker.postMessage({ lock });
    worker.addEventListener('message', () => void navigator.locks.request(lock, () => fail('it ended')), {
      once: true,
    });
  }
  return {
    post: (message, transfer) => worker.postMessage(message, transfer ?? []),
    onMessage: (listener) => worker.addEventListener('message', (event) => listener(event.data)),
    onFailure: (listener) => void failed.push(listener),
    hold: () => undefined,
    async terminate() {
      ending = true;
      worker.terminate();
      if (text) URL.revokeObjectURL(String(url));
      if (lock) await navigator.locks.request(lock, () => undefined);
    },
  };
}

/** A worker that has answered `ready` to its first message; rejects if it fails before. */
export async function readyWorker(
  first: Request,
  { transfer, workerUrl }: WorkerStart = {},
): Promise<WorkerHandle> {
  const threads = builtin<NodeWorkers>('node:worker_threads');
  const worker = threads ? nodeWorker(threads) : browserWorker(workerUrl);
  try {
    await new Promise<void>((resolve, reject) => {
      worker.onFailure(reject);
      worker.onMessage((message) => {
        if (message === 'ready') resolve();
      });
      worker.post(first, transfer);
    });
  } catch (error) {
    await worker.terminate();
    throw error;
  }
  worker.hold(false);
  return worker;
}
