/** Runs a plan on one worker with a memory of its own: keeps pages responsive where memory cannot be shared. */
import type { Answer, Feed, Fetch, Request } from './messages.js';
import type { Loaded, Runner } from './runner.js';
import { readyWorker, type WorkerHandle } from './workerHandle.js';

const ENDED = 'The worker of the wasm back end has been ended.';

export async function ownMemoryRunner(
  { image, module, workerUrl, signal: loading }: Loaded,
  fallbackReason?: string,
): Promise<Runner> {
  const { computePhaseCount } = image;
  const commands = image.commands[0]!;
  let worker: WorkerHandle | undefined;
  let settle: { readonly resolve: (answer: Answer) => void; readonly reject: (reason: Error) => void };

  const start = async (signal?: AbortSignal): Promise<WorkerHandle> => {
    const bytes = new ArrayBuffer(image.filled);
    await image.fill(bytes, signal);
    const first: Request = { own: { module, pages: image.pages, image: bytes } };
    const started = await readyWorker(first, { transfer: [bytes], workerUrl });
    started.onMessage((message) => settle.resolve(message as Answer));
    started.onFailure((reason) => {
      worker = undefined;
      void started.terminate();
      lost = updates;
      settle?.reject(
        new Error(
          `The worker of the wasm back end is gone (${reason.message}); the next run starts a new one.`,
        ),
      );
    });
    return started;
  };
  const updates = computePhaseCount < commands.ends.length;
  let lost = false;
  let ended = false;
  const exchange = async (message: Request, signal?: AbortSignal): Promise<Answer> => {
    if (ended) throw new Error(ENDED);
    if (lost) throw new Error('The worker of the wasm back end is gone with its parameters; compile again.');
    worker ??= await start();
    const { hold, post } = worker;
    const abort = (): void => post({ stop: true });
    signal?.addEventListener('abort', abort);
    hold(true);
    try {
      const answer = await new Promise<Answer>((resolve, reject) => {
        settle = { resolve, reject };
        post(message);
      });
      if (answer.stopped) signal?.throwIfAborted();
      return answer;
    } finally {
      hold(false);
      signal?.removeEventListener('abort', abort);
    }
  };

  /** The worker answers one question at a time; parameters may be asked for during a run. */
  let previous: Promise<unknown> = Promise.resolve();
  const ask = (message: Request, signal?: AbortSignal): Promise<Answer> => {
    const answer = previous.then(() => exchange(message, signal));
    previous = answer.catch(() => undefined);
    return answer;
  };

  const perform = (feeds: readonly Feed[], fetches: readonly Fetch[], signal?: AbortSignal) =>
    ask({ run: { feeds, fetches, commands, computePhaseCount } }, signal);

  worker = await start(loading);
  return {
    threads: 1,
    fallbackReason,
    run: async (feeds, fetches, signal) => (await perform(feeds, fetches, signal)).outputs,
    read: async (fetches) => (await ask({ read: fetches })).outputs,
    profile: async (feeds) => (await perform(feeds, [])).times,
    async dispose() {
      ended = true;
      await worker?.terminate();
      worker = undefined;
      settle?.reject(new Error(ENDED));
    },
  };
}
