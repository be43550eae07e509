/** Runs a plan on one worker with its own memory, which keeps pages responsive if memory cannot be shared. */
import { createQueue } from '../../common/queue.js';
import { startDeadline } from './deadline.js';
import type { Answer, Feed, Request, ValueRange } from './messages.js';
import type { LoadedPlan, Runner } from './runner.js';
import { readyWorker, type WorkerHandle } from './workerHandle.js';

const ENDED = 'The worker of the wasm back end has been ended.';

/**
 * Starts a runner on one worker. It keeps the memory image, to fill the memory of a new worker if this one is
 * lost.
 * @param fallbackReason - why the plan runs on one thread, for users.
 */
export async function ownMemoryRunner(
  { image, module, workerUrl, answerMilliseconds, signal: loading }: LoadedPlan,
  fallbackReason?: string,
): Promise<Runner> {
  const { computePhaseCount } = image;
  const commands = image.commands[0]!;
  const hasUpdates = computePhaseCount < commands.ends.length;
  let worker: WorkerHandle | undefined;
  /** True if a lost worker's memory contained updated parameters. */
  let parametersLost = false;
  let ended = false;
  /** Settles the request in progress. */
  let pending: { readonly resolve: (answer: Answer) => void; readonly reject: (reason: Error) => void };

  const start = async (signal?: AbortSignal): Promise<WorkerHandle> => {
    const bytes = new ArrayBuffer(image.filled);
    await image.fill(bytes, signal);
    const first: Request = { own: { module, pages: image.pages, image: bytes } };
    const started = await readyWorker(first, { transfer: [bytes], workerUrl });
    started.onMessage((message) => pending.resolve(message as Answer));
    started.onFailure((reason) => lose(started, reason));
    return started;
  };
  const lose = (lost: WorkerHandle, { message }: Error): void => {
    worker = undefined;
    void lost.terminate();
    parametersLost = hasUpdates;
    pending?.reject(
      new Error(`The worker of the wasm back end is gone (${message}); the next run starts a new one.`),
    );
  };
  /** Posts a message and returns the worker's answer; starts a new worker if the last one was lost. */
  const request = async (message: Request, signal?: AbortSignal): Promise<Answer> => {
    if (ended) throw new Error(ENDED);
    if (parametersLost)
      throw new Error('The worker of the wasm back end is gone with its parameters; compile again.');
    worker ??= await start();
    const asked = worker;
    const { keepAlive, post } = asked;
    const abort = (): void => post({ stop: true });
    signal?.addEventListener('abort', abort);
    keepAlive(true);
    const cancel = startDeadline(answerMilliseconds, (reason) => lose(asked, reason), asked.watched);
    try {
      const answer = await new Promise<Answer>((resolve, reject) => {
        pending = { resolve, reject };
        post(message);
      });
      if (answer.stopped) signal?.throwIfAborted();
      return answer;
    } finally {
      cancel();
      keepAlive(false);
      signal?.removeEventListener('abort', abort);
    }
  };

  // The worker answers one request at a time, and parameters may be read during a run.
  const enqueue = createQueue();
  const enqueueRun = (feeds: readonly Feed[], outputs: readonly ValueRange[], signal?: AbortSignal) =>
    enqueue(() => request({ run: { feeds, outputs, commands, computePhaseCount } }, signal));

  worker = await start(loading);
  return {
    threads: 1,
    fallbackReason,
    run: async (feeds, outputs, signal) => (await enqueueRun(feeds, outputs, signal)).outputs,
    read: async (ranges) => (await enqueue(() => request({ read: ranges }))).outputs,
    profile: async (feeds) => (await enqueueRun(feeds, [])).times,
    async dispose() {
      ended = true;
      await worker?.terminate();
      worker = undefined;
      pending?.reject(new Error(ENDED));
    },
  };
}
