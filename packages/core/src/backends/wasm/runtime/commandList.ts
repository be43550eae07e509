/**
 * Command lists: each thread executes its own list with one small function. A command is the index of a
 * kernel and its thirteen arguments. Barriers are kernels too.
 */
import { type FunctionBuilder, i32 } from '../codegen/index.js';
import { buildFunction, defineKernel, PARAMETERS } from '../codegen/kernel.js';
import { control } from './controlWords.js';

/** Bytes of a command: the kernel's index, its arguments, and padding to a cache line. */
export const COMMAND_BYTES = 64;

/**
 * Builds the function that executes the commands between two addresses. It returns early if `control.stop` is
 * not 0.
 */
export const executeCommands = (): FunctionBuilder =>
  buildFunction({ at: 'address', end: 'address' }, 2, (f, { at, end }) => {
    f.while(i32.ltU(at, end), () => {
      f.when(i32.load(0, control.stop), () => f.return());
      const parameters = Array.from({ length: PARAMETERS }, (_, index) => i32.load(at, (index + 1) * 4));
      f.callIndirect(i32.load(at), parameters);
      f.advance(at, COMMAND_BYTES);
    });
  });

/** Polls of `control.arrived` before a thread goes to sleep in a barrier: about 0.2 ms. */
const MAX_POLLS = 100_000;

/**
 * Waits until all threads have arrived. If they arrive together, this takes 0.2 us of spinning. A thread that
 * has lost its core to another process may arrive milliseconds later. Then the others go to sleep, which may
 * free a core for it. To stop a run, the calling thread adds a large number to the arrivals, which opens
 * every barrier.
 */
export const barrier = defineKernel({
  name: 'barrier',
  parameters: {
    /** Number of arrivals that the barrier waits for, counted from the start of the run. */
    arrivals: 'integer',
  },
  build(f, { arrivals }) {
    const polls = f.pointer();
    const arrived = f.pointer();
    f.atomicAdd(control.arrived, 1);
    f.when(i32.atomicLoad(control.waiting), () => f.atomicNotify(control.arrived));
    f.set(arrived, i32.atomicLoad(control.arrived));
    f.set(polls, 0);
    f.while(i32.ltS(arrived, arrivals), () => {
      f.advance(polls, 1);
      f.when(i32.ltS(MAX_POLLS, polls), () => {
        f.atomicAdd(control.waiting, 1);
        f.atomicWait(control.arrived, arrived);
        f.atomicAdd(control.waiting, -1);
      });
      f.set(arrived, i32.atomicLoad(control.arrived));
    });
  },
});
