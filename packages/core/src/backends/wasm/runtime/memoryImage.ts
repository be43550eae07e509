/** Lays out a plan in memory (control words, commands, constants, I/O region, arena) and builds its module. */
import { timeSlices } from '../../../yield.js';
import { CONSTANTS, CONSTANTS_AT, MAX_CONSTANTS } from '../codegen/constants.js';
import { buildModule } from '../codegen/index.js';
import { argumentsOf, FLOAT, kernelFunction } from '../codegen/kernel.js';
import { aligned, Region, requireAddressable } from '../memory/region.js';
import type { PlanParts } from '../schedule/context.js';
import type { Phase } from '../schedule/recorder.js';
import { barrier, COMMAND_BYTES, executeCommands } from './commandList.js';
import type { CommandList } from './execute.js';

/** Bytes after the last region, since kernels may read whole vectors beyond the end of a value. */
const SLACK = 4096;

/** Bytes of a page of memory. */
export const PAGE_BYTES = 65536;

/** A plan whose addresses are known. */
export interface MemoryImage {
  /** Size of the memory in pages of 64 KiB. */
  readonly pages: number;
  /** The binary WebAssembly module. */
  readonly module: Uint8Array<ArrayBuffer>;
  /** The command list of each thread. */
  readonly commands: readonly CommandList[];
  /** The phases of the command lists, in order. */
  readonly phases: readonly Phase[];
  /** Number of phases that compute; the phases after them apply updates and cannot be interrupted. */
  readonly computePhaseCount: number;
  /** Byte address of a profile's time stamps: float64, milliseconds, before the first and after each phase. */
  readonly times: number;
  /** Number of bytes at the start of memory that `fill` writes. */
  readonly filled: number;
  /**
   * Writes the command lists and constants into memory, which must be zero. Packing weights takes long, so it
   * yields to the event loop between slices; if the signal is aborted, it rejects with the signal's reason
   * after a yield.
   */
  readonly fill: (memory: ArrayBufferLike, signal?: AbortSignal) => Promise<void>;
}

/**
 * Assigns the base addresses of the plan's regions and builds the module.
 * @param shared - true if threads share the memory.
 * @throws RangeError if the plan needs more than 4 GiB.
 */
export function layOutMemory(plan: PlanParts, shared: boolean): MemoryImage {
  const { engine, threads, constants, arena } = plan;
  const { io } = plan.values;
  const { phases, computePhaseCount } = plan.recorder;
  const kernels = [...plan.kernels.functions];
  const barrierIndex = kernels.length;
  // Engines that cannot share memory may not know its instructions.
  if (threads > 1) kernels.push(kernelFunction(barrier, { engine, shape: {} }));
  const commands = new Region();
  const times = new Region();
  times.reserve((phases.length + 1) * 8);
  // A barrier follows each phase but the last compute phase and the last update phase, which end a run.
  const hasBarrier = (phase: number): boolean =>
    threads > 1 && phase !== computePhaseCount - 1 && phase !== phases.length - 1;
  const lists = Array.from({ length: threads }, (_, thread) => {
    const counts = phases.map(({ calls }, phase) => calls[thread]!.length + (hasBarrier(phase) ? 1 : 0));
    const start = commands.reserve(counts.reduce((sum, count) => sum + count, 0) * COMMAND_BYTES);
    return { start, counts };
  });
  let top = aligned(CONSTANTS_AT + MAX_CONSTANTS * FLOAT);
  for (const region of [commands, times, constants.region, io, arena]) {
    region.base = top;
    top = aligned(top + region.bytes);
  }
  const pages = Math.ceil((top + SLACK) / PAGE_BYTES);
  requireAddressable(pages * PAGE_BYTES);
  const module = buildModule({
    functions: [...kernels, executeCommands()],
    exports: { execute: kernels.length },
    memory: { pages, shared },
  });
  return {
    pages,
    module,
    phases,
    computePhaseCount,
    commands: lists.map(({ start, counts }) => {
      const ends: number[] = [];
      for (const count of counts) ends.push((ends.at(-1) ?? start.address) + count * COMMAND_BYTES);
      return { from: start.address, ends };
    }),
    times: times.base,
    filled: io.base,
    async fill(memory, signal) {
      const words = new Int32Array(memory, 0, io.base / 4);
      new Float32Array(memory, CONSTANTS_AT, CONSTANTS.length).set(CONSTANTS);
      for (const [thread, { start }] of lists.entries()) {
        let at = start.address / 4;
        for (const [phase, { calls }] of phases.entries()) {
          for (const { kernel, parameters } of calls[thread]!) {
            const addressed = parameters.map((value) => (typeof value === 'number' ? value : value.address));
            words.set([kernel, ...addressed], at);
            at += COMMAND_BYTES / 4;
          }
          if (hasBarrier(phase)) {
            const arrivals = ((phase < computePhaseCount ? phase : phase - computePhaseCount) + 1) * threads;
            words.set([barrierIndex, ...argumentsOf(barrier, { arrivals })], at);
            at += COMMAND_BYTES / 4;
          }
        }
      }
      const yieldIfDue = timeSlices(signal);
      for (const { at, floats, fill, pieces } of constants.fills) {
        const target = new Float32Array(memory, at.address, floats);
        for (let piece = 0; piece < pieces; piece++) {
          fill(target, piece);
          await yieldIfDue();
        }
      }
    },
  };
}
