/** Runs a plan on the calling thread, in slices, so that events get their turn: the last resort. */
import type { Loaded, Runner, Walk } from './runner.js';
import { durations } from './runner.js';

/** Longest stretch of work in milliseconds before the event loop gets a turn. */
const SLICE = 12;

export function callingThreadRunner({ image, module }: Loaded, fallbackReason?: string): Runner {
  const memory = new WebAssembly.Memory({ initial: image.pages, maximum: image.pages });
  image.fill(memory.buffer);
  const walk = new WebAssembly.Instance(module, { env: { memory } }).exports.walk as Walk;
  const [{ from, ends }] = image.tracks as [(typeof image.tracks)[number]];
  const write = (feeds: Parameters<Runner['run']>[0]): void => {
    for (const { at, data } of feeds) new Float32Array(memory.buffer, at, data.length).set(data);
  };
  return {
    threads: 1,
    fallbackReason,
    async run(feeds, fetches, signal) {
      write(feeds);
      let start = from;
      let turn = performance.now();
      for (const end of ends) {
        walk(start, end);
        start = end;
        if (performance.now() - turn < SLICE) continue;
        await new Promise((resolve) => setTimeout(resolve));
        signal?.throwIfAborted();
        turn = performance.now();
      }
      return fetches.map(({ at, floats }) => new Float32Array(memory.buffer, at, floats).slice());
    },
    profile(feeds) {
      write(feeds);
      const times = [performance.now()];
      let start = from;
      for (const end of ends) {
        walk(start, end);
        times.push(performance.now());
        start = end;
      }
      return Promise.resolve(durations(times));
    },
    dispose: () => Promise.resolve(),
  };
}
