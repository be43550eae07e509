/**
 * How a plan runs: a table of records, each the index of a kernel and its thirteen parameters, walked by one
 * small function. Every thread walks its own table; barriers are kernels too.
 */
import { type FunctionBuilder, i32 } from '../emit/index.js';
import { CONSTANTS_AT, MOST_CONSTANTS } from './constants.js';
import { buildFunction, defineKernel, FLOAT, PARAMETERS } from './kernel.js';

/** Bytes of a record: the kernel, its parameters, and room to a whole number of cache lines. */
export const RECORD = 64;

/** Addresses of the words that threads share, each in a cache line of its own. */
export const control = {
  /** How many threads have reached a barrier, in all barriers so far. */
  arrived: 0,
  /** Not zero: every thread leaves the plan at once. */
  stop: 64,
  /** Number of the run that has been asked for. */
  asked: 128,
  /** What is asked for: see `Command`. */
  command: 192,
  /** Workers asleep, waiting for a run. */
  sleeping: 256,
  /** Workers that have finished the present run. */
  finished: 320,
  /** Threads asleep in a barrier. */
  waiting: 448,
  /** Number of the run that all workers have finished. */
  completed: 384,
  /** Where free memory starts: behind the constants. */
  end: CONSTANTS_AT + MOST_CONSTANTS * FLOAT,
} as const;

/** Walks the records from one address up to another. Returns early when `stop` is set. */
export const walkRecords = (): FunctionBuilder =>
  buildFunction({ at: 'address', end: 'address' }, 2, (f, { at, end }) => {
    f.while(i32.ltU(at, end), () => {
      f.when(i32.load(0, control.stop), () => f.return());
      const parameters = Array.from({ length: PARAMETERS }, (_, index) => i32.load(at, (index + 1) * 4));
      f.callIndirect(i32.load(at), parameters);
      f.advance(at, RECORD);
    });
  });

/** How often a thread looks whether the others have come before it goes to sleep: about a fifth of a millisecond. */
const SPINS = 100_000;

/**
 * Waits until all threads have come here. When they arrive together that takes 0.2 us of spinning. One
 * that has lost its core to another process may take milliseconds: then the others sleep, which may be
 * what gives it a core. A run is stopped by raising the arrivals far enough that no barrier holds.
 */
export const barrier = defineKernel({
  name: 'barrier',
  parameters: {
    /** Number of arrivals that the barrier waits for, counted from the start of the run. */
    arrivals: 'integer',
  },
  build(f, { arrivals }) {
    const [spins, arrived] = [f.pointer('spins'), f.pointer('arrived')];
    f.atomicAdd(control.arrived, 1);
    f.when(i32.atomicLoad(control.waiting), () => f.atomicNotify(control.arrived));
    f.set(arrived, i32.atomicLoad(control.arrived));
    f.set(spins, 0);
    f.while(i32.ltS(arrived, arrivals), () => {
      f.advance(spins, 1);
      f.when(i32.ltS(SPINS, spins), () => {
        f.atomicAdd(control.waiting, 1);
        f.atomicWait(control.arrived, arrived);
        f.atomicAdd(control.waiting, -1);
      });
      f.set(arrived, i32.atomicLoad(control.arrived));
    });
  },
});
