/** What the back end needs of a GPU: memory, kernels, results. One engine for each mode; a program owns one. */
import type { Layout } from '../layout/planar.js';
import type { Kernel, Write } from '../plan/plan.js';

/** A call as an engine prepares it: the kernel and how its operands lie. */
export interface EngineCall {
  readonly kernel: Kernel;
  readonly layout: Layout;
  readonly inputs: readonly Layout[];
}

/** A kernel that is ready to run on values of type H; the result's place is the engine's. */
export type Prepared<H> = (inputs: readonly H[]) => H;

/** A GPU as a program sees it. `H` stands for a value in its memory. */
export interface Engine<H> {
  /** What sessions call it. */
  readonly backend: 'gpu:webgpu' | 'gpu:webgl2';
  /** What profiles say about it: the adapter's name, and whether it computes in software. */
  readonly notes: readonly string[];
  /** Bytes held. */
  readonly memory: number;
  /** Compiles the kernels of all calls; equal ones once. The result has one entry for each call. */
  prepare(calls: readonly EngineCall[], signal?: AbortSignal): Promise<readonly Prepared<H>[]>;
  /** Distinct kernels that were compiled. */
  readonly kernels: number;
  /** Brings values to the device; they lie as the layout says, frame and all. */
  upload(layout: Layout, write: Write): H;
  /**
   * Waits until the device has taken what was uploaded.
   * @throws BackendUnavailable when it does not fit, Error for anything else that it reports.
   */
  check(): Promise<void>;
  /** Gives a value's place to others. */
  free(value: H): void;
  /** Has everything done that was asked for so far, and reads values back, frames and all. */
  read(values: readonly H[]): Promise<readonly Float32Array[]>;
  /** Gives everything back. */
  dispose(): void;
}
