/** Runs a plan on the calling thread, in slices, so that events get their turn: the last resort. */
import { timeSlices } from '../../common/yield.js';
import { type Loaded, type Runner, readAll, type Walk, writeAll } from './runner.js';

export async function callingThreadRunner(
  { image, module, signal: loading }: Loaded,
  fallbackReason?: string,
): Promise<Runner> {
  // The image itself is not kept: it holds on to the weights that it has filled the memory with.
  const { pages, computing } = image;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  await image.fill(memory.buffer, loading);
  const walk = new WebAssembly.Instance(module, { env: { memory } }).exports.walk as Walk;
  const [{ from, ends }] = image.tracks as [(typeof image.tracks)[number]];
  /** Computes, and gives the milliseconds of each phase. */
  const compute = async (signal?: AbortSignal): Promise<readonly number[]> => {
    const times: number[] = [];
    let start = from;
    const yieldIfDue = timeSlices(signal);
    for (const end of ends.slice(0, computing)) {
      const before = performance.now();
      walk(start, end);
      start = end;
      times.push(performance.now() - before);
      await yieldIfDue();
    }
    return times;
  };
  return {
    threads: 1,
    fallbackReason,
    async run(feeds, fetches, signal) {
      writeAll(memory, feeds);
      await compute(signal);
      const outputs = readAll(memory, fetches);
      walk(ends[computing - 1] ?? from, ends.at(-1) ?? from);
      return outputs;
    },
    read: (fetches) => Promise.resolve(readAll(memory, fetches)),
    async profile(feeds) {
      writeAll(memory, feeds);
      const times = [...(await compute())];
      let start = ends[computing - 1] ?? from;
      for (const end of ends.slice(computing)) {
        const before = performance.now();
        walk(start, end);
        start = end;
        times.push(performance.now() - before);
      }
      return times;
    },
    dispose: () => Promise.resolve(),
  };
}
