/** Starts workers in Node and in browsers, behind one small interface. */
import { workerSource } from './workerSource.js';

/** A worker. */
export interface WorkerHandle {
  post(message: unknown, transfer?: ArrayBuffer[]): void;
  onMessage(listener: (message: unknown) => void): void;
  /** Called once if the worker fails or ends without having been asked to. */
  onFailure(listener: (reason: Error) => void): void;
  /** Whether the worker keeps a Node process running. */
  hold(busy: boolean): void;
  terminate(): Promise<void>;
}

type NodeWorkers = typeof import('node:worker_threads');

/** Node's module of that name; undefined in browsers. */
export function nodeModule<T>(name: string): T | undefined {
  if (typeof process === 'undefined' || typeof process.getBuiltinModule !== 'function') return undefined;
  return process.getBuiltinModule(name) as T | undefined;
}

/** Whether workers can be started at all. */
export const hasWorkers = (): boolean =>
  nodeModule('node:worker_threads') !== undefined ||
  (typeof Worker === 'function' && typeof Blob === 'function' && typeof URL.createObjectURL === 'function');

/** Starts a worker. It may still fail later: listen with `onFailure`. */
export function startWorker(): WorkerHandle {
  const threads = nodeModule<NodeWorkers>('node:worker_threads');
  return threads ? nodeWorker(threads) : browserWorker();
}

function nodeWorker({ Worker: NodeWorker }: NodeWorkers): WorkerHandle {
  const worker = new NodeWorker(workerSource, { eval: true, name: 'cnn wasm' });
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

function browserWorker(): WorkerHandle {
  const url = URL.createObjectURL(new Blob([workerSource], { type: 'text/javascript' }));
  const worker = new Worker(url);
  return {
    post: (message, transfer) => worker.postMessage(message, transfer ?? []),
    onMessage: (listener) => worker.addEventListener('message', (event) => listener(event.data)),
    onFailure: (listener) =>
      worker.addEventListener('error', (event) => listener(new Error(event.message || 'it could not start'))),
    hold: () => undefined,
    terminate() {
      worker.terminate();
      URL.revokeObjectURL(url);
      return Promise.resolve();
    },
  };
}

/** A worker that has answered `ready` to its first message; rejects if it fails before. */
export async function readyWorker(first: unknown, transfer?: ArrayBuffer[]): Promise<WorkerHandle> {
  const worker = startWorker();
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
