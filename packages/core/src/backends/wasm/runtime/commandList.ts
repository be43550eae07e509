/**
 * How a plan runs: a table of records, each the index of a kernel and its thirteen parameters, walked by one
 * small function. Every thread walks its own table; barriers are kernels too.
 */
import { type FunctionBuilder, i32 } from '../codegen/index.js';
import { buildFunction, defineKernel, PARAMETERS } from '../codegen/kernel.js';
import { control } from '../memory/controlWords.js';

/** Bytes of a record: the kernel, its parameters, and room to a whole number of cache lines. */
export const RECORD = 64;

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
