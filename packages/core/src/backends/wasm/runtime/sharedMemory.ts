/**
 * Runs a plan on workers that share its memory. None of the work is done on the calling thread, which
 * only waits for a promise, so a page stays alive. Workers spin inside the plan and sleep between runs.
 */
import { Command, control } from '../memory/controlWords.js';
import { durations } from './execute.js';
import { type Loaded, type Runner, readAll, writeAll } from './runner.js';
import { readyWorker, type WorkerHandle } from './workerHandle.js';

type WaitAsync = (
  words: Int32Array,
  index: number,
  value: number,
) => { readonly async: boolean; readonly value: Promise<string> | string };

/** `Atomics.waitAsync` where there is one; the standard types do not have it yet. */
const waitAsync = (Atomics as unknown as { readonly waitAsync?: WaitAsync }).waitAsync;

/** More arrivals than any plan has: every barrier opens. */
const OPEN = 2 ** 28;

export async function sharedMemoryRunner({
  image,
  module,
  workerUrl,
  signal: loading,
}: Loaded): Promise<Runner> {
  // The image itself is not kept: it holds on to the weights that it has filled the memory with.
  const { pages, phases, computePhaseCount, times } = image;
  const threads = image.commands.length;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const words = new Int32Array(memory.buffer);
  const word = (name: keyof typeof control): number => control[name] / 4;
  let workers: readonly WorkerHandle[] = [];
  /** Why a worker is gone, until new ones are started. */
  let failure: Error | undefined;
  /** Ends the wait for the present run when nobody else can. */
  let wake: () => void = () => undefined;

  /** Makes all workers leave the plan, those that sleep in a barrier too. */
  const halt = (): void => {
    Atomics.store(words, word('stop'), 1);
    Atomics.add(words, word('arrived'), OPEN);
    Atomics.notify(words, word('arrived'));
  };

  const start = async (): Promise<void> => {
    failure = undefined;
    const started = await Promise.allSettled(
      image.commands.map((commands, thread) => {
        const byMessage = waitAsync === undefined;
        const share = { module, memory, thread, threads, commands, computePhaseCount, times, byMessage };
        return readyWorker({ share }, { workerUrl });
      }),
    );
    workers = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const rejected = started.find((result) => result.status === 'rejected');
    if (rejected) {
      await stop();
      throw rejected.reason;
    }
    for (const worker of workers) {
      worker.onFailure((reason) => {
        failure ??= reason;
        halt();
        wake();
      });
      worker.onMessage((message) => {
        if (message === 'done') wake();
      });
    }
  };
  const stop = async (): Promise<void> => {
    const ending = workers;
    workers = [];
    // A browser lets a worker that is busy or asleep go on for seconds: it has to end by itself.
    halt();
    words[word('command')] = Command.end;
    Atomics.add(words, word('requested'), 1);
    Atomics.notify(words, word('requested'));
    await Promise.all(ending.map((worker) => worker.terminate()));
  };

  /** One run by all workers; resolves when the last of them has finished. */
  const perform = async (command: number, signal?: AbortSignal): Promise<void> => {
    if (failure) {
      await stop();
      await start();
    }
    for (const name of ['arrived', 'finished', 'waiting', 'stop'] as const)
      Atomics.store(words, word(name), 0);
    words[word('command')] = command;
    const before = Atomics.load(words, word('completed'));
    signal?.addEventListener('abort', halt);
    for (const worker of workers) worker.hold(true);
    try {
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      Atomics.add(words, word('requested'), 1);
      if (Atomics.load(words, word('sleeping')) > 0) Atomics.notify(words, word('requested'));
      const wait = waitAsync?.(words, word('completed'), before);
      if (wait?.async !== false) await Promise.race([woken, ...(wait ? [wait.value] : [])]);
    } finally {
      for (const worker of workers) worker.hold(false);
      signal?.removeEventListener('abort', halt);
    }
    if (failure)
      throw new Error(
        `A worker of the wasm back end is gone (${failure.message}); the next run starts new ones.`,
      );
    signal?.throwIfAborted();
  };
  /** Whether a worker was lost amid updates, which leaves parameters of two steps. */
  let torn = false;
  /** When the present updates are done, or lost. */
  let settled: Promise<void> = Promise.resolve();
  const update = (command: number): Promise<void> => {
    const work = perform(command);
    settled = work.catch(() => {
      torn = true;
    });
    return work;
  };
  const requireWhole = (): void => {
    if (torn)
      throw new Error(
        'A worker of the wasm back end is gone amid an update, and the parameters with it; compile again.',
      );
  };
  // One after the other: workers that start meanwhile make the peak of memory higher.
  await image.fill(memory.buffer, loading);
  await start();
  return {
    threads,
    async run(feeds, fetches, signal) {
      requireWhole();
      writeAll(memory, feeds);
      await perform(Command.run, signal);
      const outputs = readAll(memory, fetches);
      if (computePhaseCount < phases.length) await update(Command.commit);
      return outputs;
    },
    async read(fetches) {
      await settled;
      requireWhole();
      return readAll(memory, fetches);
    },
    async profile(feeds) {
      requireWhole();
      writeAll(memory, feeds);
      const timed = async (
        command: number,
        count: number,
        doing: typeof perform = perform,
      ): Promise<readonly number[]> => {
        await doing(command);
        return durations(new Float64Array(memory.buffer, times, count + 1));
      };
      const computed = await timed(Command.profile, computePhaseCount);
      const updates = phases.length - computePhaseCount;
      return updates === 0
        ? computed
        : [...computed, ...(await timed(Command.profileCommit, updates, update))];
    },
    async dispose() {
      failure = new Error('it has been ended');
      await stop();
      wake();
    },
  };
}
