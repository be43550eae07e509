/**
 * Runs a plan on the calling thread, in slices between which it yields to the event loop. Used if there are
 * no workers.
 */
import { type Execute, executeInSlices, executeUpdates } from './execute.js';
import { type LoadedPlan, type Runner, readAll, writeAll } from './runner.js';

/**
 * Starts a runner on the calling thread.
 * @param fallbackReason - why the plan does not run on workers, for users.
 */
export async function callingThreadRunner(
  { image, module, signal: loading }: LoadedPlan,
  fallbackReason?: string,
): Promise<Runner> {
  // Closures must not capture the image: it would keep the weights in memory.
  const { pages, computePhaseCount } = image;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  await image.fill(memory.buffer, loading);
  const execute = new WebAssembly.Instance(module, { env: { memory } }).exports.execute as Execute;
  const commands = image.commands[0]!;
  /** Executes the compute phases; returns the milliseconds of each. */
  const compute = async (signal?: AbortSignal): Promise<readonly number[]> => {
    const times = await executeInSlices(execute, commands, computePhaseCount, () => signal?.aborted ?? false);
    if (!times) throw signal!.reason;
    return times;
  };
  const update = (): readonly number[] => executeUpdates(execute, commands, computePhaseCount);
  return {
    threads: 1,
    fallbackReason,
    async run(feeds, outputs, signal) {
      writeAll(memory, feeds);
      await compute(signal);
      const values = readAll(memory, outputs);
      update();
      return values;
    },
    read: (ranges) => Promise.resolve(readAll(memory, ranges)),
    async profile(feeds) {
      writeAll(memory, feeds);
      const computed = await compute();
      return [...computed, ...update()];
    },
    dispose: () => Promise.resolve(),
  };
}
