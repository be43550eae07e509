/**
 * The workers of one program. They start together, and if one is lost, all are ended, and the next request starts
 * new ones. Every wait ends: by an answer, a loss, `dispose`, or a deadline where a loss may go unnoticed.
 */
import { START_MS, startDeadline } from './deadline.js';
import type { Request } from './messages.js';
import type { LoadedPlan } from './runner.js';
import { startWorker, type WorkerHandle } from './workerHandle.js';

/** Differences between the runners. */
export interface PoolOptions {
  /**
   * Makes the first message of each worker, with the buffers whose ownership moves to it. Called for each start. A
   * worker answers `'ready'`.
   */
  readonly firstMessages: (signal?: AbortSignal) => Promise<readonly (readonly [Request, ArrayBuffer[]?])[]>;
  /** Makes the workers answer the request in progress early, since its signal is aborted. */
  readonly stop: (workers: readonly WorkerHandle[]) => void;
  /** Makes the workers end by themselves, before they are terminated. */
  readonly quit?: () => void;
}

/** The workers of one program, which serve one request at a time. */
export interface WorkerPool {
  /** True if a worker was lost, and no new ones have been started. */
  readonly lost: boolean;
  /**
   * Makes a request of the workers; starts new ones first if one was lost. An aborted signal ends the start at once,
   * and stops the workers during the request.
   * @param begin - begins the request, which ends with a worker's message or a call of `resolve`.
   */
  request<T>(
    begin: (workers: readonly WorkerHandle[], resolve: (answer: T) => void) => void,
    signal?: AbortSignal,
  ): Promise<T>;
  /** Ends the workers for good; a request in progress rejects. */
  dispose(): Promise<void>;
}

/** A wait for the workers. */
interface Wait<T> {
  readonly begin: (resolve: (answer: T) => void) => void;
  readonly milliseconds: number;
  /** True if there is no deadline, since each loss is noticed. */
  readonly watched: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: () => void;
}

/**
 * Starts the workers of a plan; rejects if one fails, or if the plan's signal is aborted. The function is long, since all
 * of it reads or changes one state.
 */
export async function startPool(
  { workerUrl, answerMilliseconds, signal: loading }: LoadedPlan,
  { firstMessages, stop, quit }: PoolOptions,
): Promise<WorkerPool> {
  // From 'starting' to 'ready' or 'lost', from 'ready' to 'lost', from 'lost' to 'starting'; 'disposed' is final.
  let state: 'starting' | 'ready' | 'lost' | 'disposed' = 'starting';
  const isDisposed = (): boolean => state === 'disposed';
  /** The workers that start or are ready. */
  let workers: WorkerHandle[] = [];
  /** Reason why the last workers that were ready have been ended. */
  let reason: Error | undefined;
  /** Resolves when all workers that have been ended are gone. */
  let gone: Promise<unknown> = Promise.resolve();
  /** Settle the wait in progress. */
  let resolveWait: (answer: unknown) => void = () => undefined;
  let rejectWait: (reason: unknown) => void = () => undefined;

  /** Ends all workers, and the wait in progress. */
  const end = (next: 'lost' | 'disposed', why: Error): void => {
    if (isDisposed()) return;
    if (state === 'ready' || next === 'disposed') reason = why;
    state = next;
    quit?.();
    gone = Promise.all([gone, ...workers.map((worker) => worker.terminate())]);
    workers = [];
    rejectWait(why);
  };
  const lose = (why: Error): void => end('lost', why);

  const wait = async <T>({ begin, milliseconds, watched, signal, onAbort }: Wait<T>): Promise<T> => {
    const asked = workers;
    signal?.addEventListener('abort', onAbort);
    const cancel = startDeadline(milliseconds, lose, watched);
    try {
      return await new Promise<T>((resolve, reject) => {
        resolveWait = resolve as (answer: unknown) => void;
        rejectWait = reject;
        for (const worker of asked) worker.keepAlive(true);
        begin(resolve);
      });
    } finally {
      cancel();
      signal?.removeEventListener('abort', onAbort);
      for (const worker of asked) worker.keepAlive(false);
    }
  };

  const start = async (signal?: AbortSignal): Promise<void> => {
    const messages = await firstMessages(signal);
    signal?.throwIfAborted();
    if (isDisposed()) throw reason;
    state = 'starting';
    const starting: WorkerHandle[] = [];
    workers = starting;
    let missing = messages.length;
    /** Takes a step unless these workers have been ended: ended ones may still answer or fail. */
    const unlessEnded = (step: () => void): void => {
      if (workers === starting) step();
    };
    const listeners = {
      failure: (why: Error) => unlessEnded(() => lose(why)),
      message: (message: unknown) =>
        unlessEnded(() => {
          if (message === 'ready' && --missing > 0) return;
          state = 'ready';
          resolveWait(message);
        }),
    };
    const startAll = (): void => {
      for (const [message, transfer] of messages) {
        const worker = startWorker(listeners, workerUrl);
        starting.push(worker);
        worker.post(message, transfer);
      }
    };
    await wait({
      // Ended workers may still write to the memory that they share, and memory for both may be short.
      begin: () => void gone.then(() => unlessEnded(startAll)).catch(lose),
      milliseconds: START_MS,
      watched: false,
      signal,
      onAbort: () => lose(signal!.reason),
    });
  };

  await start(loading);
  return {
    get lost() {
      return state === 'lost';
    },
    async request<T>(
      begin: (workers: readonly WorkerHandle[], resolve: (answer: T) => void) => void,
      signal?: AbortSignal,
    ) {
      const lost = (more = '; the next run starts new ones'): Error =>
        new Error(`A worker of the wasm back end is gone (${reason?.message})${more}.`);
      if (state === 'lost')
        await start(signal).catch((error: Error) => {
          signal?.throwIfAborted();
          throw lost(`, and a new one could not be started (${error.message}); the next run tries again`);
        });
      signal?.throwIfAborted();
      if (state !== 'ready') throw lost();
      return wait<T>({
        begin: (resolve) => begin(workers, resolve),
        milliseconds: answerMilliseconds,
        watched: workers.every(({ watched }) => watched),
        signal,
        onAbort: () => stop(workers),
      }).catch((error: Error) => {
        throw error === reason ? lost() : error;
      });
    },
    async dispose() {
      end('disposed', new Error('it has been disposed of'));
      await gone;
    },
  };
}
