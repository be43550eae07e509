/** Runs a plan on the calling thread, in slices, so that events get their turn: the last resort. */
import type { Loaded, Runner, Walk } from './runner.js';
import { durations, readAll, writeAll } from './runner.js';

/** Longest stretch of work in milliseconds before the event loop gets a turn. */
const SLICE = 12;

export function callingThreadRunner({ image, module }: Loaded, fallbackReason?: string): Runner {
  const memory = new WebAssembly.Memory({ initial: image.pages, maximum: image.pages });
  image.fill(memory.buffer);
  const walk = new WebAssembly.Instance(module, { env: { memory } }).exports.walk as Walk;
  const [{ from, ends }] = image.tracks as [(typeof image.tracks)[number]];
  const computing = ends.slice(0, image.computing);
  return {
    threads: 1,
    fallbackReason,
    async run(feeds, fetches, signal) {
      writeAll(memory, feeds);
      let start = from;
      let turn = performance.now();
      for (const end of computing) {
        walk(start, end);
        start = end;
        if (performance.now() - turn < SLICE) continue;
        await new Promise((resolve) => setTimeout(resolve));
        signal?.throwIfAborted();
        turn = performance.now();
      }
      const outputs = readAll(memory, fetches);
      walk(start, ends.at(-1) ?? start);
      return outputs;
    },
    read: (fetches) => Promise.resolve(readAll(memory, fetches)),
    profile(feeds) {
      writeAll(memory, feeds);
      const times = [performance.now()];
      let start = from;
      for (const end of computing) {
        walk(start, end);
        times.push(performance.now());
        start = end;
      }
      return Promise.resolve(durations(times));
    },
    dispose: () => Promise.resolve(),
  };
}
