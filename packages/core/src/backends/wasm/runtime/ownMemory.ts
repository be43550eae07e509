/** Runs a plan on one worker that has the memory to itself: where memory cannot be shared, pages stay alive still. */
import { durations, type Feed, type Fetch, type Loaded, type Runner } from './runner.js';
import { readyWorker, type WorkerHandle } from './worker.js';

/** What the worker answers to a run. */
interface Answer {
  readonly stopped?: boolean;
  readonly outputs: readonly Float32Array[];
  readonly times: readonly number[];
}

const ENDED = 'The worker of the wasm back end has been ended.';

export async function ownMemoryRunner(
  { image, module, workerUrl, signal: loading }: Loaded,
  fallbackReason?: string,
): Promise<Runner> {
  const [{ from, ends }] = image.tracks as [(typeof image.tracks)[number]];
  let worker: WorkerHandle | undefined;
  let settle: { readonly resolve: (answer: Answer) => void; readonly reject: (reason: Error) => void };

  const start = async (signal?: AbortSignal): Promise<WorkerHandle> => {
    const bytes = new ArrayBuffer(image.filled);
    await image.fill(bytes, signal);
    const first = { own: { module, pages: image.pages, image: bytes } };
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
  const updates = image.computing < ends.length;
  let lost = false;
  let ended = false;
  const exchange = async (message: object, signal?: AbortSignal): Promise<Answer> => {
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
  const ask = (message: object, signal?: AbortSignal): Promise<Answer> => {
    const answer = previous.then(() => exchange(message, signal));
    previous = answer.catch(() => undefined);
    return answer;
  };

  const perform = (feeds: readonly Feed[], fetches: readonly Fetch[], timed: boolean, signal?: AbortSignal) =>
    ask({ run: { feeds, fetches, from, ends, computing: image.computing, timed } }, signal);

  worker = await start(loading);
  return {
    threads: 1,
    fallbackReason,
    run: async (feeds, fetches, signal) => (await perform(feeds, fetches, false, signal)).outputs,
    read: async (fetches) => (await ask({ read: fetches })).outputs,
    profile: async (feeds) => durations((await perform(feeds, [], true)).times),
    async dispose() {
      ended = true;
      await worker?.terminate();
      worker = undefined;
      settle?.reject(new Error(ENDED));
    },
  };
}
