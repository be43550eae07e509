/**
 * Device runtime on WebGPU. All kernels of a run go into one command buffer. gpu.js provides the device and translates
 * kernels. Its pipelines are not used: their results always pass through the host, and they cannot run hand-written
 * shaders.
 */
import { hasPadding, type Layout, storedFloats } from '../../layout/types.js';
import type { WriteStaged } from '../../plan/plan.js';
import { unavailable } from '../../unavailable.js';
import {
  type Block,
  type CallSpec,
  type CompiledCall,
  DeviceRuntime,
  type DeviceTensor,
} from '../runtime.js';
import type { SharedDevice } from './sharedDevice.js';

/** Flags of GPUBufferUsage, which is defined only where WebGPU is. */
const usage = { mapRead: 1, copySource: 4, copyTarget: 8, uniform: 64, storage: 128 } as const;

/** Storage buffer of a tensor, or another buffer that is freed on disposal. */
export interface BufferBlock extends Block {
  readonly buffer: GPUBuffer;
}

type Tensor = DeviceTensor<BufferBlock>;

const bytesOf = (layout: Layout): number => storedFloats(layout) * 4;

/** True for GPUOutOfMemoryError, which is defined only where WebGPU is. */
const isOutOfMemory = (error: GPUError): boolean =>
  typeof GPUOutOfMemoryError !== 'undefined' && error instanceof GPUOutOfMemoryError;

/** Arguments of a dispatch. */
interface Dispatch {
  readonly wgsl: string;
  /** Contents of the uniform buffer. */
  readonly parameters: Uint32Array<ArrayBuffer>;
  readonly workgroups: readonly [number, number, number];
}

/** Gives three extents; missing ones are 1. */
const threeDims = (dims: readonly number[]): readonly [number, number, number] => [
  dims[0] ?? 1,
  dims[1] ?? 1,
  dims[2] ?? 1,
];

/** Gives the workgroups of a kernel that gpu.js translates: 64 threads along a vector, else 8 x 8. */
function elementWorkgroups({ dims }: Layout, limit: number): readonly [number, number, number] {
  const [x, y, z] = threeDims(dims);
  if (dims.length > 1) return [Math.ceil(x / 8), Math.ceil(y / 8), z];
  const groups = Math.ceil(x / 64);
  const rows = Math.ceil(groups / limit);
  return [Math.ceil(groups / rows), rows, 1];
}

/** Runtime on a device. */
export class WebGpuRuntime extends DeviceRuntime<BufferBlock> {
  readonly #shared: SharedDevice;
  readonly #device: GPUDevice;
  /** Results of error scopes that have not been looked at; the device reports errors asynchronously. */
  #pendingErrors: Promise<GPUError | null>[] = [];
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;

  constructor(shared: SharedDevice) {
    super('webgpu', shared.adapter);
    this.#shared = shared;
    this.#device = shared.device;
  }

  override dispose(): void {
    this.#encoder = undefined;
    this.#pass = undefined;
    super.dispose();
  }

  protected lost(): string | undefined {
    const reason = this.#shared.lost;
    return reason === undefined ? undefined : `The GPU device was lost (${reason})`;
  }

  /**
   * Sizes are multiples of 16 bytes, since shaders read whole vectors. Kernels write no padding, so padded layouts share
   * no buffers with others.
   */
  protected blockFor(layout: Layout): Block {
    const { shape, paddedShape, padding } = layout;
    const bytes = bytesOf(layout);
    const { maxStorageBufferBindingSize, maxBufferSize } = this.#device.limits;
    const limit = Math.min(maxStorageBufferBindingSize, maxBufferSize);
    if (bytes > limit)
      throw unavailable(
        `A tensor of ${shape.join('x')} takes ${bytes} bytes; a buffer of this GPU has at most ${limit}.`,
      );
    const key = hasPadding(layout) ? `${paddedShape.join('x')} ${padding.join()}` : String(bytes);
    return { key, bytes: Math.ceil(bytes / 16) * 16 };
  }

  protected create(layout: Layout): BufferBlock {
    return this.#createBuffer(this.blockFor(layout), usage.storage | usage.copySource | usage.copyTarget);
  }

  #createBuffer({ key, bytes }: Block, flags: number): BufferBlock {
    const create = () => this.#device.createBuffer({ size: bytes, usage: flags });
    return { key, bytes, buffer: this.#inErrorScope('out-of-memory', create) };
  }

  protected destroy({ buffer }: BufferBlock): void {
    buffer.destroy();
  }

  upload(layout: Layout, write: WriteStaged): Tensor {
    // Recorded commands may read what the buffer holds.
    this.#flush();
    const tensor = this.allocate(layout);
    const staged = this.zeros(storedFloats(layout));
    write(staged);
    this.#device.queue.writeBuffer(tensor.block.buffer, 0, staged);
    return tensor;
  }

  protected compile(calls: readonly CallSpec[]): Promise<readonly CompiledCall<BufferBlock>[]> {
    const dispatches = calls.map((call) => this.#dispatchOf(call));
    this.kernels = new Set(dispatches.map(({ wgsl }) => wgsl)).size;
    return this.#settle(Promise.all(calls.map((call, index) => this.#compileCall(call, dispatches[index]!))));
  }

  #dispatchOf({ kernel, layout, inputs }: CallSpec): Dispatch {
    if (kernel.language === 'glsl') throw new Error('A kernel in GLSL does not run on WebGPU.');
    const limit = this.#device.limits.maxComputeWorkgroupsPerDimension;
    const isWritten = kernel.language === 'wgsl';
    const workgroups = isWritten ? kernel.workgroups : elementWorkgroups(layout, limit);
    if (workgroups.some((count) => count > limit))
      throw unavailable(
        `A tensor of ${layout.shape.join('x')} needs ${workgroups.join('x')} workgroups; this GPU has at most ${limit} along a dimension.`,
      );
    if (isWritten) return { wgsl: kernel.text, parameters: Uint32Array.from(kernel.sizes), workgroups };
    const threadsAcross = layout.dims.length === 1 ? workgroups[0] * 64 : 0;
    const operands = inputs.flatMap((input) => [...threeDims(input.dims), storedFloats(input)]);
    return {
      wgsl: this.#shared.translate(kernel.text, layout.dims.length),
      parameters: Uint32Array.from([...threeDims(layout.dims), threadsAcross, ...operands]),
      workgroups,
    };
  }

  async #compileCall(
    { layout, inputs: operands }: CallSpec,
    { wgsl, parameters, workgroups }: Dispatch,
  ): Promise<CompiledCall<BufferBlock>> {
    const device = this.#device;
    const { pipeline, bindings } = await this.#shared.pipeline(wgsl, operands.length);
    const block = { key: '', bytes: Math.ceil(parameters.byteLength / 16) * 16 };
    const uniform = this.own(this.#createBuffer(block, usage.uniform | usage.copyTarget)).buffer;
    device.queue.writeBuffer(uniform, 0, parameters);
    let bound: readonly GPUBuffer[] = [];
    let group: GPUBindGroup | undefined;
    return (inputs) => {
      const result = this.allocate(layout);
      const wanted = [...inputs, result].map(({ block }) => block.buffer);
      // The pool gives the same buffers in every run, so one bind group serves all runs.
      if (!group || wanted.some((buffer, index) => buffer !== bound[index])) {
        bound = wanted;
        group = device.createBindGroup({
          layout: bindings,
          entries: [uniform, ...wanted].map((buffer, binding) => ({ binding, resource: { buffer } })),
        });
      }
      this.#encoder ??= device.createCommandEncoder();
      this.#pass ??= this.#encoder.beginComputePass();
      this.#pass.setPipeline(pipeline);
      this.#pass.setBindGroup(0, group);
      this.#pass.dispatchWorkgroups(...workgroups);
      return result;
    };
  }

  /** Submits the recorded commands. */
  #flush(): void {
    const encoder = this.#encoder;
    if (!encoder) return;
    this.#pass?.end();
    this.#encoder = undefined;
    this.#pass = undefined;
    const commands = encoder.finish();
    this.#inErrorScope('validation', () => this.#device.queue.submit([commands]));
  }

  #inErrorScope<T>(filter: GPUErrorFilter, work: () => T): T {
    const device = this.#device;
    device.pushErrorScope(filter);
    try {
      return work();
    } finally {
      this.#pendingErrors.push(device.popErrorScope().catch(() => null));
    }
  }

  protected async checkErrors(): Promise<void> {
    await this.#settle(Promise.resolve());
  }

  protected async finish(): Promise<void> {
    this.#flush();
    await this.#settle(this.#device.queue.onSubmittedWorkDone());
  }

  /** Waits for work on the device, and throws the errors that it reported. */
  async #settle<T>(work: Promise<T>): Promise<T> {
    try {
      const [result] = await Promise.all([work, this.#throwReported()]);
      this.requireDevice();
      return result;
    } catch (error) {
      // A loss may be reported a moment after the errors that it causes.
      await Promise.race([this.#device.lost, new Promise((resolve) => setTimeout(resolve, 50))]);
      this.requireDevice();
      throw error;
    }
  }

  async #throwReported(): Promise<void> {
    const pending = this.#pendingErrors;
    this.#pendingErrors = [];
    const error = (await Promise.all(pending)).find((reported) => reported !== null);
    if (error) this.fail(isOutOfMemory(error), `The GPU reports an error: ${error.message}`);
  }

  protected async readBack(tensors: readonly Tensor[]): Promise<readonly Float32Array[]> {
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#pass?.end();
    this.#pass = undefined;
    const sizes = tensors.map(({ layout }) => bytesOf(layout));
    const block = { key: '', bytes: sizes.reduce((sum, bytes) => sum + bytes, 0) };
    const readback = this.own(this.#createBuffer(block, usage.mapRead | usage.copyTarget));
    let start = 0;
    for (const [index, { block }] of tensors.entries()) {
      this.#encoder.copyBufferToBuffer(block.buffer, 0, readback.buffer, start, sizes[index]!);
      start += sizes[index]!;
    }
    this.#flush();
    try {
      await this.#settle(readback.buffer.mapAsync(usage.mapRead));
      const mapped = readback.buffer.getMappedRange();
      let at = 0;
      return sizes.map((bytes) => {
        at += bytes;
        return new Float32Array(mapped.slice(at - bytes, at));
      });
    } finally {
      this.disown(readback);
    }
  }
}
