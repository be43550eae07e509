/** The messages between the calling thread and its workers. */
import type { CommandList } from './execute.js';

/** Values written to memory before a run. */
export interface Feed {
  /** Byte address. */
  readonly at: number;
  readonly data: Float32Array;
}

/** Values to read from memory. */
export interface ValueRange {
  /** Byte address. */
  readonly at: number;
  /** Number of values. */
  readonly floats: number;
}

/** Starts a worker that shares its memory; runs are requested through control words, until `Command.end`. */
export interface ShareMessage {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Index of the worker's thread. */
  readonly thread: number;
  /** Number of threads. */
  readonly threads: number;
  readonly commands: CommandList;
  /** Number of phases before the updates. */
  readonly computePhaseCount: number;
  /** Byte address of the time stamps that thread 0 writes in a profile: float64, milliseconds. */
  readonly times: number;
  /** True if the worker posts `'done'` when a run is finished, for engines without `Atomics.waitAsync`. */
  readonly byMessage: boolean;
}

/** Starts a worker with a memory of its own. */
export interface OwnMessage {
  readonly module: WebAssembly.Module;
  /** Size of the memory in pages of 64 KiB. */
  readonly pages: number;
  /** The first bytes of the memory; the rest is zero. */
  readonly image: ArrayBuffer;
}

/** Requests a run of a worker with its own memory. */
export interface RunMessage {
  readonly feeds: readonly Feed[];
  /** Values to read after the compute phases. */
  readonly outputs: readonly ValueRange[];
  readonly commands: CommandList;
  /** Number of phases before the updates. */
  readonly computePhaseCount: number;
}

/** A message to a worker. */
export type Request =
  | { readonly share: ShareMessage }
  | { readonly own: OwnMessage }
  | { readonly run: RunMessage }
  /** Reads values between runs. */
  | { readonly read: readonly ValueRange[] }
  /** Aborts the current run. */
  | { readonly stop: true }
  /**
   * Browsers only: the name of a Web Lock that the worker holds while it lives. The worker posts `'locked'`
   * once it holds it, or nothing.
   */
  | { readonly lock: string };

/** A worker's answer to `run` and `read`. */
export interface Answer {
  /** True if the run was aborted. */
  readonly stopped?: true;
  /** Values of the ranges in the request, in order. */
  readonly outputs: readonly Float32Array[];
  /** Milliseconds of each phase. */
  readonly times: readonly number[];
}
