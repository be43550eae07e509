/** The messages between the calling thread and its workers. */
import type { CommandList } from './execute.js';

/** Values written to memory before a run. */
export interface Feed {
  /** Byte address. */
  readonly at: number;
  readonly data: Float32Array;
}

/** Values read from memory after a run. */
export interface Fetch {
  /** Byte address. */
  readonly at: number;
  /** Number of values. */
  readonly floats: number;
}

/** Starts a worker that shares its memory; runs are requested through control words, until `Command.end`. */
export interface ShareMessage {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly thread: number;
  readonly threads: number;
  readonly commands: CommandList;
  /** Phases before the updates. */
  readonly computePhaseCount: number;
  /** Byte address of the time stamps that thread 0 writes while it is profiled: float64, milliseconds. */
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
  readonly fetches: readonly Fetch[];
  readonly commands: CommandList;
  readonly computePhaseCount: number;
}

/** A message to a worker. */
export type Request =
  | { readonly share: ShareMessage }
  | { readonly own: OwnMessage }
  | { readonly run: RunMessage }
  /** Requests values as they are between runs. */
  | { readonly read: readonly Fetch[] }
  /** Aborts the current run. */
  | { readonly stop: true }
  /** Browsers only: the name of a Web Lock that the worker holds while it lives. */
  | { readonly lock: string };

/** A worker's answer to `run` and `read`. */
export interface Answer {
  /** True if the run was aborted. */
  readonly stopped?: true;
  readonly outputs: readonly Float32Array[];
  /** Milliseconds of each phase. */
  readonly times: readonly number[];
}
