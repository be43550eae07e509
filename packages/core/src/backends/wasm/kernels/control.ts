/**
 * How a plan runs: a table of records, each the index of a kernel and its twelve parameters, walked by one
 * small function. Every thread walks its own table; barriers are kernels too.
 */
import { FunctionBuilder, i32 } from '../emit/index.js';
import { CONSTANTS_AT, MOST_CONSTANTS } from './constants.js';
import { defineKernel, FLOAT, PARAMETERS } from './kernel.js';

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
  /** Number of the run that all workers have finished. */
  completed: 384,
  /** Where free memory starts: behind the constants. */
  end: CONSTANTS_AT + MOST_CONSTANTS * FLOAT,
} as const;

/** Walks the records from one address up to another. Returns early when `stop` is set. */
export function walkRecords(): FunctionBuilder {
  const f = new FunctionBuilder(2);
  const [at, end] = f.parameters as unknown as [
    (typeof f.parameters)[0] & object,
    (typeof f.parameters)[0] & object,
  ];
  f.while(i32.ltU(at, end), () => {
    f.when(i32.load(0, control.stop), () => f.return());
    const parameters = Array.from({ length: PARAMETERS }, (_, index) => i32.load(at, (index + 1) * 4));
    f.callIndirect(i32.load(at), parameters);
    f.advance(at, RECORD);
  });
  return f;
}

/**
 * Waits until all threads have come here, spinning: 0.2 us when they arrive together. Sleeping inside a
 * plan doubled the time of a run. Parameter: how many arrivals there must have been, counted from the
 * start of the run.
 */
export const barrier = (): FunctionBuilder =>
  defineKernel(['arrivals'], (f, { arrivals }) => {
    f.atomicAdd(control.arrived, 1);
    f.while(
      i32.and(i32.ltS(i32.atomicLoad(control.arrived), arrivals), i32.eqz(i32.atomicLoad(control.stop))),
      () => {},
    );
  });
