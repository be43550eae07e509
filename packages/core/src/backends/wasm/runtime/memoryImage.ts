/** Lays a plan out in memory: control words, records of calls, constants, exchange, arena; and builds its module. */

import { timeSlices } from '../../common/yield.js';
import { CONSTANTS, CONSTANTS_AT, MOST_CONSTANTS } from '../codegen/constants.js';
import { buildModule } from '../codegen/index.js';
import { argumentsOf, FLOAT, kernelFunction } from '../codegen/kernel.js';
import { aligned, Region } from '../memory/region.js';
import type { Phase, Planner } from '../schedule/planner.js';
import { barrier, RECORD, walkRecords } from './commandList.js';
import type { CommandList } from './execute.js';

/** Bytes behind everything else that a kernel may read, when it reads a whole vector of what is less. */
const SLACK = 4096;

/** Most pages that a 32-bit memory has. */
export const MOST_PAGES = 65536;

/** A plan with all addresses settled. */
export interface Image {
  readonly pages: number;
  readonly module: Uint8Array<ArrayBuffer>;
  /** The commands of each thread. */
  readonly commands: readonly CommandList[];
  readonly phases: readonly Phase[];
  /** Number of phases that compute; the phases behind them apply updates and cannot be interrupted. */
  readonly computePhaseCount: number;
  /** Where the times of phases are written when they are measured: float64, one for each phase and one before. */
  readonly times: number;
  /** Bytes from the start that `fill` writes to. */
  readonly filled: number;
  /**
   * Writes records and constants into memory that is zero, from its start. Packing weights takes long, so it is done
   * in slices, between which the signal can stop it.
   */
  readonly fill: (memory: ArrayBufferLike, signal?: AbortSignal) => Promise<void>;
}

/** Settles addresses, builds the module. @throws RangeError when it is more than a memory can hold. */
export function layOut(planner: Planner, shared: boolean): Image {
  const { threads, phases } = planner;
  const kernels = [...planner.kernels];
  const meet = kernels.push(kernelFunction(barrier, { engine: planner.engine, shape: {} })) - 1;
  const records = new Region();
  const times = new Region();
  times.reserve((phases.length + 1) * 8);
  const { computePhaseCount } = planner;
  const meets = (phase: number): boolean =>
    threads > 1 && phase !== computePhaseCount - 1 && phase !== phases.length - 1;
  const tracks = Array.from({ length: threads }, (_, thread) => {
    const counts = phases.map(({ calls }, phase) => calls[thread]!.length + (meets(phase) ? 1 : 0));
    const start = records.reserve(counts.reduce((sum, count) => sum + count, 0) * RECORD);
    return { start, counts };
  });
  let top = aligned(CONSTANTS_AT + MOST_CONSTANTS * FLOAT);
  for (const region of [records, times, planner.constants, planner.exchange, planner.arena]) {
    region.base = top;
    top = aligned(top + region.bytes);
  }
  const pages = Math.ceil((top + SLACK) / 65536);
  if (pages > MOST_PAGES)
    throw new RangeError(`The plan needs ${Math.ceil(top / 2 ** 20)} MiB, more than the 4096 of a memory.`);
  const module = buildModule({
    functions: [...kernels, walkRecords()],
    exports: { walk: kernels.length },
    memory: { pages, shared },
  });
  return {
    pages,
    module,
    phases,
    computePhaseCount,
    commands: tracks.map(({ start, counts }) => {
      const ends: number[] = [];
      for (const count of counts) ends.push((ends.at(-1) ?? start.address) + count * RECORD);
      return { from: start.address, ends };
    }),
    times: times.base,
    filled: planner.exchange.base,
    async fill(memory, signal) {
      const words = new Int32Array(memory, 0, planner.exchange.base / 4);
      new Float32Array(memory, CONSTANTS_AT, CONSTANTS.length).set(CONSTANTS);
      for (const [thread, { start }] of tracks.entries()) {
        let at = start.address / 4;
        for (const [phase, { calls }] of phases.entries()) {
          for (const { kernel, parameters } of calls[thread]!) {
            const addressed = parameters.map((value) => (typeof value === 'number' ? value : value.address));
            words.set([kernel, ...addressed], at);
            at += RECORD / 4;
          }
          if (meets(phase)) {
            const arrivals = ((phase < computePhaseCount ? phase : phase - computePhaseCount) + 1) * threads;
            words.set([meet, ...argumentsOf(barrier, { arrivals })], at);
            at += RECORD / 4;
          }
        }
      }
      const yieldIfDue = timeSlices(signal);
      for (const { at, floats, fill, pieces } of planner.packings) {
        const target = new Float32Array(memory, at.address, floats);
        for (let piece = 0; piece < pieces; piece++) {
          fill(target, piece);
          await yieldIfDue();
        }
      }
    },
  };
}
