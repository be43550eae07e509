/**
 * Base of the device runtimes: memory, kernels and results on a GPU. WebGL2 and WebGPU share pooled memory, staging of
 * uploads, the errors of a lost device and of full memory, and disposal.
 */
import { BackendUnavailable } from '../../../errors.js';
import type { Adapter } from '../adapter.js';
import type { Layout } from '../layout/types.js';
import type { GpuMode } from '../mode.js';
import type { Kernel, WriteStaged } from '../plan/plan.js';

/** Kernel to compile, with the layouts of its result and inputs. */
export interface CallSpec {
  readonly kernel: Kernel;
  readonly layout: Layout;
  readonly inputs: readonly Layout[];
}

/** Block of device memory: a buffer or a texture. */
export interface Block {
  /** Name in the pool: tensors of layouts with the same key use the same blocks, one after the other. */
  readonly key: string;
  readonly bytes: number;
}

/** Tensor in device memory. */
export interface DeviceTensor<B extends Block> {
  readonly block: B;
  readonly layout: Layout;
}

/** Runs a compiled kernel on tensors in device memory. The runtime allocates the result. */
export type CompiledCall<B extends Block> = (inputs: readonly DeviceTensor<B>[]) => DeviceTensor<B>;

/** GPU as a program uses it. Each program owns a runtime. */
export abstract class DeviceRuntime<B extends Block> {
  /** Name that sessions report. */
  readonly backend: `gpu:${GpuMode}`;
  /** Notes of profiles: the adapter's name, and whether it is a software adapter. */
  readonly notes: readonly string[];
  /** Number of distinct kernels compiled. */
  kernels = 0;
  /** Allocated device memory in bytes. */
  memory = 0;
  #staging = new Float32Array(0);
  readonly #free = new Map<string, B[]>();
  readonly #blocks = new Set<B>();

  constructor(mode: GpuMode, { name, software }: Adapter) {
    this.backend = `gpu:${mode}`;
    this.notes = [name, ...(software ? ['software adapter'] : [])];
  }

  /** Compiles the kernels of all calls, equal kernels once. The result has one entry for each call. */
  async prepare(calls: readonly CallSpec[], signal?: AbortSignal): Promise<readonly CompiledCall<B>[]> {
    signal?.throwIfAborted();
    for (const { layout, inputs } of calls) for (const each of [layout, ...inputs]) this.blockFor(each);
    return this.compile(calls);
  }

  /** Uploads a tensor. `write` fills it in the order of its layout, padding included. */
  abstract upload(layout: Layout, write: WriteStaged): DeviceTensor<B>;

  /**
   * Waits until the device has received the uploads.
   * @throws BackendUnavailable if they do not fit, Error for any other error that the device reports.
   */
  async check(): Promise<void> {
    this.#staging = new Float32Array(0);
    await this.checkErrors();
  }

  /** Returns a tensor's memory to the pool. */
  free({ block }: DeviceTensor<B>): void {
    const free = this.#free.get(block.key);
    if (free) free.push(block);
    else this.#free.set(block.key, [block]);
  }

  /** Waits for all calls so far, and reads tensors in the order of their layouts, padding included. */
  async read(tensors: readonly DeviceTensor<B>[]): Promise<readonly Float32Array[]> {
    this.requireDevice();
    if (tensors.length > 0) return this.readBack(tensors);
    await this.finish();
    return [];
  }

  /** Frees all memory. */
  dispose(): void {
    for (const block of this.#blocks) this.disown(block);
    this.#free.clear();
  }

  /** Gives a tensor memory, from the pool if it has some. */
  protected allocate(layout: Layout): DeviceTensor<B> {
    const { key } = this.blockFor(layout);
    return { block: this.#free.get(key)?.pop() ?? this.own(this.create(layout)), layout };
  }

  /** Counts a block, and frees it on disposal. */
  protected own(block: B): B {
    this.#blocks.add(block);
    this.memory += block.bytes;
    return block;
  }

  /** Frees a block, unless it is free. */
  protected disown(block: B): void {
    if (!this.#blocks.delete(block)) return;
    this.memory -= block.bytes;
    this.destroy(block);
  }

  /** Gives `count` zeros to write on, valid until the next call. Memory is reused: to allocate it takes longer. */
  protected zeros(count: number): Float32Array<ArrayBuffer> {
    if (this.#staging.length < count) this.#staging = new Float32Array(count);
    return this.#staging.subarray(0, count).fill(0);
  }

  /** Throws if the device was lost. */
  protected requireDevice(): void {
    const lost = this.lost();
    if (lost !== undefined) throw new Error(`${lost}; compile the model again.`);
  }

  /** Throws an error that the device reports. */
  protected fail(outOfMemory: boolean, message: string): never {
    if (outOfMemory) throw new BackendUnavailable('gpu', 'The GPU is out of memory; use the wasm back end.');
    throw new Error(message);
  }

  /** Describes the block for a layout. @throws BackendUnavailable if it exceeds a limit of the GPU. */
  protected abstract blockFor(layout: Layout): Block;
  protected abstract create(layout: Layout): B;
  protected abstract destroy(block: B): void;
  protected abstract compile(calls: readonly CallSpec[]): Promise<readonly CompiledCall<B>[]>;
  /** Says how the device was lost, as the start of a sentence; undefined if it was not. */
  protected abstract lost(): string | undefined;
  /** Throws errors that the device has reported. */
  protected abstract checkErrors(): void | Promise<void>;
  /** Waits for all calls so far. */
  protected abstract finish(): Promise<void>;
  /** Reads one tensor or more. */
  protected abstract readBack(tensors: readonly DeviceTensor<B>[]): Promise<readonly Float32Array[]>;
}
