/**
 * The interface of the three runners: workers that share memory, one worker with its own memory, the calling
 * thread.
 */
import type { MemoryImage } from './memoryImage.js';
import type { Feed, ValueRange } from './messages.js';

/** Runs one plan. The caller starts a run only after the one before has settled. */
export interface Runner {
  /** Number of threads that compute. */
  readonly threads: number;
  /** Reason why fewer threads run than requested, or only the calling thread; for users. */
  readonly fallbackReason?: string;
  /**
   * Runs the plan once. Rejects with the signal's reason if it is aborted before the updates; the next run
   * works.
   * @returns copies of the outputs, read before the updates are applied.
   */
  run(
    feeds: readonly Feed[],
    outputs: readonly ValueRange[],
    signal?: AbortSignal,
  ): Promise<readonly Float32Array[]>;
  /** Returns copies of values, such as parameters, as they are between runs. */
  read(ranges: readonly ValueRange[]): Promise<readonly Float32Array[]>;
  /** Runs the plan once; returns the milliseconds of each phase. */
  profile(feeds: readonly Feed[]): Promise<readonly number[]>;
  /** Ends the workers; a run in progress rejects. */
  dispose(): Promise<void>;
}

/** A compiled plan, from which a runner starts. */
export interface LoadedPlan {
  readonly image: MemoryImage;
  readonly module: WebAssembly.Module;
  /** URL of the workers' program, for browsers. Default: a blob of its text. */
  readonly workerUrl?: string | URL;
  /**
   * Longest wait for the answer of workers whose death may not be noticed, in milliseconds; afterwards they count as
   * lost.
   */
  readonly answerMilliseconds: number;
  /** Aborts the start of the runner. */
  readonly signal?: AbortSignal;
}

/** Returns copies of values in memory. */
export const readAll = (memory: WebAssembly.Memory, ranges: readonly ValueRange[]): readonly Float32Array[] =>
  ranges.map(({ at, floats }) => new Float32Array(memory.buffer, at, floats).slice());

/** Copies values into memory. */
export function writeAll(memory: WebAssembly.Memory, feeds: readonly Feed[]): void {
  for (const { at, data } of feeds) new Float32Array(memory.buffer, at, data.length).set(data);
}
