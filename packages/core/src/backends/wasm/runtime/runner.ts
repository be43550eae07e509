/** What runs a plan: threads that share its memory, one worker that has it to itself, or the calling thread. */
import type { Image } from './memoryImage.js';
import type { Feed, Fetch } from './messages.js';

/** Runs one plan, one run at a time. */
export interface Runner {
  readonly threads: number;
  readonly fallbackReason?: string;
  /** Runs the plan. Rejects with the signal's reason when it is aborted; the next run works. */
  run(
    feeds: readonly Feed[],
    fetches: readonly Fetch[],
    signal?: AbortSignal,
  ): Promise<readonly Float32Array[]>;
  /** Values as they are between runs. */
  read(fetches: readonly Fetch[]): Promise<readonly Float32Array[]>;
  /** Runs the plan phase by phase: the milliseconds of each. */
  profile(feeds: readonly Feed[]): Promise<readonly number[]>;
  dispose(): Promise<void>;
}

/** What a runner is made from. */
export interface Loaded {
  readonly image: Image;
  readonly module: WebAssembly.Module;
  /** Where a browser finds the program of the workers. Default: it is started from its text. */
  readonly workerUrl?: string | URL;
  /** Stops loading. */
  readonly signal?: AbortSignal;
}

/** Copies values out of a memory. */
export const readAll = (memory: WebAssembly.Memory, fetches: readonly Fetch[]): readonly Float32Array[] =>
  fetches.map(({ at, floats }) => new Float32Array(memory.buffer, at, floats).slice());

/** Copies values into a memory. */
export function writeAll(memory: WebAssembly.Memory, feeds: readonly Feed[]): void {
  for (const { at, data } of feeds) new Float32Array(memory.buffer, at, data.length).set(data);
}
