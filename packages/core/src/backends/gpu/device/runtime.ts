/** Interface of a device runtime: memory, kernels and results on a GPU. There is one for each mode. */
import type { Layout } from '../layout/types.js';
import type { Kernel, WriteStaged } from '../plan/plan.js';

/** Kernel to compile, with the layouts of its result and inputs. */
export interface CallSpec {
  readonly kernel: Kernel;
  readonly layout: Layout;
  readonly inputs: readonly Layout[];
}

/** Runs a compiled kernel on tensors in device memory. The runtime allocates the result. */
export type CompiledCall<Handle> = (inputs: readonly Handle[]) => Handle;

/**
 * GPU as a program uses it. Each program owns a runtime.
 * @template Handle - a tensor in device memory: a buffer or a texture.
 */
export interface DeviceRuntime<Handle> {
  /** Name that sessions report. */
  readonly backend: 'gpu:webgpu' | 'gpu:webgl2';
  /** Notes of profiles: the adapter's name, and whether it is a software adapter. */
  readonly notes: readonly string[];
  /** Allocated device memory in bytes. */
  readonly memory: number;
  /** Compiles the kernels of all calls, equal kernels once. The result has one entry for each call. */
  prepare(calls: readonly CallSpec[], signal?: AbortSignal): Promise<readonly CompiledCall<Handle>[]>;
  /** Number of distinct kernels compiled. */
  readonly kernels: number;
  /** Uploads a tensor. `write` fills it in the order of its layout, padding included. */
  upload(layout: Layout, write: WriteStaged): Handle;
  /**
   * Waits until the device has received the uploads.
   * @throws BackendUnavailable if they do not fit, Error for any other error that the device reports.
   */
  check(): Promise<void>;
  /** Returns a tensor's memory to the pool. */
  free(tensor: Handle): void;
  /** Waits for all calls so far, and reads tensors in the order of their layouts, padding included. */
  read(tensors: readonly Handle[]): Promise<readonly Float32Array[]>;
  /** Frees all memory. */
  dispose(): void;
}
