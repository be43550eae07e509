/** Runs a plan on the calling thread, in slices between which it yields to the event loop: the last resort. */
import { type Execute, executeInSlices, executeUpdates } from './execute.js';
import { type Loaded, type Runner, readAll, writeAll } from './runner.js';

export async function callingThreadRunner(
  { image, module, signal: loading }: Loaded,
  fallbackReason?: string,
): Promise<Runner> {
  // The image itself is not kept: it refers to the weights that it fills the memory with.
  const { pages, computePhaseCount } = image;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  await image.fill(memory.buffer, loading);
  const execute = new WebAssembly.Instance(module, { env: { memory } }).exports.walk as Execute;
  const commands = image.commands[0]!;
  /** Executes the phases that compute; returns the milliseconds of each. */
  const compute = async (signal?: AbortSignal): Promise<readonly number[]> => {
    const times = await executeInSlices(execute, commands, computePhaseCount, () => signal?.aborted ?? false);
    if (!times) throw signal!.reason;
    return times;
  };
  const update = (): readonly number[] => executeUpdates(execute, commands, computePhaseCount);
  return {
    threads: 1,
    fallbackReason,
    async run(feeds, fetches, signal) {
      writeAll(memory, feeds);
      await compute(signal);
      const outputs = readAll(memory, fetches);
      update();
      return outputs;
    },
    read: (fetches) => Promise.resolve(readAll(memory, fetches)),
    async profile(feeds) {
      writeAll(memory, feeds);
      const computed = await compute();
      return [...computed, ...update()];
    },
    dispose: () => Promise.resolve(),
  };
}
