/**
 * Runs a plan on workers that share its memory. The calling thread computes nothing and only awaits a
 * promise, so a page stays responsive. Workers spin at barriers during a run and sleep between runs.
 */
import { Command, control } from './controlWords.js';
import { durations } from './execute.js';
import { type LoadedPlan, type Runner, readAll, writeAll } from './runner.js';
import { startPool } from './workerPool.js';

type WaitAsync = (
  words: Int32Array,
  index: number,
  value: number,
) => { readonly async: boolean; readonly value: Promise<string> | string };

/**
 * `Atomics.waitAsync`; undefined in engines without it. TypeScript's libraries do not declare it yet. This module is
 * also loaded in engines that have no `Atomics`.
 */
const { waitAsync } = (globalThis.Atomics ?? {}) as { readonly waitAsync?: WaitAsync };

/** Added to the arrivals to open every barrier: more than the arrivals of any plan. */
const OPEN_BARRIERS = 2 ** 28;

/** Starts a runner on as many workers as the image has command lists. */
export async function sharedMemoryRunner(plan: LoadedPlan): Promise<Runner> {
  const { image, module } = plan;
  // Closures must not capture the image: it would keep the weights in memory.
  const { pages, commands: commandLists, phases, computePhaseCount, times } = image;
  const threads = commandLists.length;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const words = new Int32Array(memory.buffer);
  /** Returns the index of a control word in `words`. */
  const word = (name: keyof typeof control): number => control[name] / 4;
  /** Makes all workers leave their command lists, even workers asleep in a barrier. */
  const halt = (): void => {
    Atomics.store(words, word('stop'), 1);
    Atomics.add(words, word('arrived'), OPEN_BARRIERS);
    Atomics.notify(words, word('arrived'));
  };

  // Workers start after the memory is filled: starting them at the same time makes the peak of memory higher.
  await image.fill(memory.buffer, plan.signal);
  const pool = await startPool(plan, {
    firstMessages: async () =>
      commandLists.map((commands, thread) => {
        const byMessage = waitAsync === undefined;
        return [
          { share: { module, memory, thread, threads, commands, computePhaseCount, times, byMessage } },
        ];
      }),
    stop: halt,
    // Browsers let a busy or sleeping worker continue for seconds after `terminate`.
    quit() {
      halt();
      words[word('command')] = Command.end;
      Atomics.add(words, word('requested'), 1);
      Atomics.notify(words, word('requested'));
    },
  });

  /** Has all workers execute a command; resolves when the last of them has finished. */
  const runCommand = async (command: number, signal?: AbortSignal): Promise<void> => {
    await pool.request<unknown>((_, resolve) => {
      for (const name of ['arrived', 'finished', 'waiting', 'stop'] as const)
        Atomics.store(words, word(name), 0);
      words[word('command')] = command;
      const before = Atomics.load(words, word('completed'));
      Atomics.add(words, word('requested'), 1);
      if (Atomics.load(words, word('sleeping')) > 0) Atomics.notify(words, word('requested'));
      // Without `waitAsync` a worker posts 'done'.
      const wait = waitAsync?.(words, word('completed'), before);
      if (wait) void Promise.resolve(wait.value).then(resolve);
    }, signal);
    signal?.throwIfAborted();
  };
  /** True if a worker was lost during updates: parameters may come from two different steps. */
  let parametersLost = false;
  /** Resolves when the last updates are applied or lost. */
  let updatesSettled: Promise<void> = Promise.resolve();
  const runUpdates = (command: number): Promise<void> => {
    const updates = runCommand(command);
    updatesSettled = updates.catch(() => {
      parametersLost = true;
    });
    return updates;
  };
  const requireParameters = (): void => {
    if (parametersLost)
      throw new Error(
        'A worker of the wasm back end is gone amid an update, and the parameters with it; compile again.',
      );
  };
  return {
    threads,
    async run(feeds, outputs, signal) {
      requireParameters();
      writeAll(memory, feeds);
      await runCommand(Command.run, signal);
      const values = readAll(memory, outputs);
      if (computePhaseCount < phases.length) await runUpdates(Command.commit);
      return values;
    },
    async read(ranges) {
      await updatesSettled;
      requireParameters();
      return readAll(memory, ranges);
    },
    async profile(feeds) {
      requireParameters();
      writeAll(memory, feeds);
      const readTimes = (count: number): readonly number[] =>
        durations(new Float64Array(memory.buffer, times, count + 1));
      await runCommand(Command.profile);
      const computeTimes = readTimes(computePhaseCount);
      const updatePhaseCount = phases.length - computePhaseCount;
      if (updatePhaseCount === 0) return computeTimes;
      await runUpdates(Command.profileCommit);
      return [...computeTimes, ...readTimes(updatePhaseCount)];
    },
    dispose: pool.dispose,
  };
}
