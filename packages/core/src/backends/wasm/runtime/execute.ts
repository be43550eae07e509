/** Executes command lists phase by phase, on a worker or on the calling thread. */
import { SLICE_MS, yieldToEventLoop } from '../../../yield.js';

/** The commands of one thread in memory. */
export interface CommandList {
  /** Byte address of the first command. */
  readonly from: number;
  /** Byte address after the last command of each phase. */
  readonly ends: readonly number[];
}

/** The export of a module that executes the commands between two addresses. */
export type Execute = (from: number, to: number) => void;

/**
 * Executes the phases from `first` up to but not including `last`, and calls `after` with the index of each.
 */
export function executePhases(
  execute: Execute,
  { from, ends }: CommandList,
  first: number,
  last: number,
  after: (phase: number) => void,
): void {
  for (let phase = first; phase < last; phase++) {
    execute(phase === 0 ? from : ends[phase - 1]!, ends[phase]!);
    after(phase);
  }
}

/**
 * Executes the first `count` phases and yields to the event loop every {@link SLICE_MS} milliseconds.
 * @param stopped - called after each yield; true ends the execution.
 * @returns the milliseconds of each phase; undefined if it was stopped.
 */
export async function executeInSlices(
  execute: Execute,
  { from, ends }: CommandList,
  count: number,
  stopped: () => boolean,
): Promise<number[] | undefined> {
  const times: number[] = [];
  let sliceStart = performance.now();
  for (let phase = 0; phase < count; phase++) {
    const start = performance.now();
    execute(phase === 0 ? from : ends[phase - 1]!, ends[phase]!);
    const now = performance.now();
    times.push(now - start);
    if (now - sliceStart < SLICE_MS) continue;
    await yieldToEventLoop();
    if (stopped()) return undefined;
    sliceStart = performance.now();
  }
  return times;
}

/**
 * Executes all phases from `first` on without yielding, since updates must not be interrupted.
 * @returns the milliseconds of each phase.
 */
export function executeUpdates(execute: Execute, list: CommandList, first: number): number[] {
  const stamps = [performance.now()];
  executePhases(execute, list, first, list.ends.length, () => stamps.push(performance.now()));
  return durations(stamps);
}

/** Returns the differences between successive time stamps. */
export const durations = (stamps: ArrayLike<number>): number[] =>
  Array.from({ length: stamps.length - 1 }, (_, i) => stamps[i + 1]! - stamps[i]!);
