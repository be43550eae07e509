/**
 * Device runtime on WebGPU. All kernels of a run go into one command buffer, over buffers from a pool. gpu.js
 * provides the device and translates kernels. Its pipelines are not used: their results always pass through
 * the host, and they cannot run hand-written shaders.
 */
import { BackendUnavailable } from '../../../../errors.js';
import { hasPadding, type Layout, storedFloats } from '../../layout/types.js';
import type { CallSpec, CompiledCall, DeviceRuntime } from '../runtime.js';
import { StagingBuffer } from '../staging.js';
import type { SharedDevice } from './sharedDevice.js';

/** Flags of GPUBufferUsage, which is defined only where WebGPU is. */
const usage = { mapRead: 1, copySource: 4, copyTarget: 8, uniform: 64, storage: 128 } as const;

const TENSOR_USAGE = usage.storage | usage.copySource | usage.copyTarget;

/** Tensor in a storage buffer. */
export interface BufferTensor {
  readonly buffer: GPUBuffer;
  readonly bytes: number;
  /** Key in the pool of free buffers. */
  readonly key: string;
}

/** Names the buffers a layout may use. Kernels write no padding, so padded layouts share none with others. */
const poolKey = (layout: Layout): string =>
  hasPadding(layout)
    ? `${layout.paddedShape.join('x')} ${layout.padding.join()}`
    : String(storedFloats(layout));

/** True for GPUOutOfMemoryError, which is defined only where WebGPU is. */
const isOutOfMemory = (error: GPUError): boolean =>
  typeof GPUOutOfMemoryError !== 'undefined' && error instanceof GPUOutOfMemoryError;

/** Arguments of a dispatch. */
interface Dispatch {
  readonly wgsl: string;
  /** Contents of the uniform buffer. */
  readonly parameters: Uint32Array;
  readonly workgroups: readonly [number, number, number];
}

/** Gives three extents; missing ones are 1. */
const threeDims = (dims: readonly number[]): readonly [number, number, number] => [
  dims[0] ?? 1,
  dims[1] ?? 1,
  dims[2] ?? 1,
];

/** Makes a runtime on a device. */
export function webgpuRuntime(shared: SharedDevice): DeviceRuntime<BufferTensor> {
  const { device, adapter } = shared;
  const { limits, queue } = device;
  const maxBytes = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  const pool = new Map<string, BufferTensor[]>();
  const buffers = new Set<GPUBuffer>();
  const staging = new StagingBuffer();
  /** Results of error scopes that have not been looked at; the device reports errors asynchronously. */
  let pendingErrors: Promise<GPUError | null>[] = [];
  let encoder: GPUCommandEncoder | undefined;
  let pass: GPUComputePassEncoder | undefined;
  let memory = 0;
  let kernels = 0;

  const inErrorScope = <T>(filter: GPUErrorFilter, work: () => T): T => {
    device.pushErrorScope(filter);
    try {
      return work();
    } finally {
      pendingErrors.push(device.popErrorScope().catch(() => null));
    }
  };

  function create(size: number, flags: number): GPUBuffer {
    const buffer = inErrorScope('out-of-memory', () => device.createBuffer({ size, usage: flags }));
    buffers.add(buffer);
    memory += size;
    return buffer;
  }

  function destroy(buffer: GPUBuffer): void {
    if (!buffers.delete(buffer)) return;
    memory -= buffer.size;
    buffer.destroy();
  }

  function acquire(layout: Layout): BufferTensor {
    const key = poolKey(layout);
    const free = pool.get(key)?.pop();
    if (free) return free;
    const bytes = storedFloats(layout) * 4;
    // Shaders read whole vectors.
    return { key, bytes, buffer: create(Math.ceil(bytes / 16) * 16, TENSOR_USAGE) };
  }

  function flush(): void {
    if (!encoder) return;
    pass?.end();
    const commands = encoder.finish();
    encoder = undefined;
    pass = undefined;
    inErrorScope('validation', () => queue.submit([commands]));
  }

  /** Waits for work on the device, and throws the errors that it reported. */
  async function settle<T>(work: Promise<T>): Promise<T> {
    try {
      const [result] = await Promise.all([work, checkErrors()]);
      if (shared.lost() === undefined) return result;
    } catch (error) {
      // A loss may be reported a moment after the errors that it causes.
      await Promise.race([device.lost, new Promise((resolve) => setTimeout(resolve, 50))]);
      if (shared.lost() === undefined) throw error;
    }
    throw new Error(`The GPU device was lost (${shared.lost()}); compile the model again.`);
  }

  async function checkErrors(): Promise<void> {
    const pending = pendingErrors;
    pendingErrors = [];
    const error = (await Promise.all(pending)).find((reported) => reported !== null);
    if (!error) return;
    if (isOutOfMemory(error))
      throw new BackendUnavailable('gpu', 'The GPU is out of memory; use the wasm back end.');
    throw new Error(`The GPU reports an error: ${error.message}`);
  }

  function dispatchOf({ kernel, layout, inputs }: CallSpec): Dispatch {
    if (kernel.language === 'glsl') throw new Error('A kernel in GLSL does not run on WebGPU.');
    const limit = limits.maxComputeWorkgroupsPerDimension;
    const [x, y, z] = threeDims(layout.dims);
    const isVector = layout.dims.length === 1;
    const groups: [number, number, number] = isVector
      ? [Math.ceil(x / 64), 1, 1]
      : [Math.ceil(x / 8), Math.ceil(y / 8), z];
    if (isVector && groups[0] > limit) {
      groups[1] = Math.ceil(groups[0] / limit);
      groups[0] = Math.ceil(groups[0] / groups[1]);
    }
    const workgroups = kernel.language === 'wgsl' ? kernel.workgroups : groups;
    if (workgroups.some((count) => count > limit))
      throw new BackendUnavailable(
        'gpu',
        `A tensor of ${layout.shape.join('x')} needs ${workgroups.join('x')} workgroups; this GPU has at most ${limit} along a dimension. Use the wasm back end.`,
      );
    if (kernel.language === 'wgsl')
      return { wgsl: kernel.text, parameters: Uint32Array.from(kernel.sizes), workgroups };
    const threadsAcross = isVector ? groups[0] * 64 : 0;
    const operands = inputs.flatMap((input) => [...threeDims(input.dims), storedFloats(input)]);
    return {
      wgsl: shared.translate(kernel.text, layout.dims.length),
      workgroups,
      parameters: Uint32Array.from([x, y, z, threadsAcross, ...operands]),
    };
  }

  function requireFit(layout: Layout): void {
    const bytes = storedFloats(layout) * 4;
    if (bytes > maxBytes)
      throw new BackendUnavailable(
        'gpu',
        `A tensor of ${layout.shape.join('x')} takes ${bytes} bytes; a buffer of this GPU has at most ${maxBytes}. Use the wasm back end.`,
      );
  }

  async function compileCall(
    { layout, inputs: operands }: CallSpec,
    { wgsl, parameters, workgroups }: Dispatch,
  ): Promise<CompiledCall<BufferTensor>> {
    const { pipeline, bindings } = await shared.pipeline(wgsl, operands.length);
    const uniform = create(Math.ceil(parameters.byteLength / 16) * 16, usage.uniform | usage.copyTarget);
    queue.writeBuffer(uniform, 0, parameters as Uint32Array<ArrayBuffer>);
    let bound: readonly GPUBuffer[] = [];
    let group: GPUBindGroup | undefined;
    return (inputs) => {
      const result = acquire(layout);
      const wanted = [...inputs, result].map(({ buffer }) => buffer);
      // The pool gives the same buffers in every run, so one bind group serves all runs.
      if (!group || wanted.some((buffer, index) => buffer !== bound[index])) {
        bound = wanted;
        group = device.createBindGroup({
          layout: bindings,
          entries: [uniform, ...wanted].map((buffer, binding) => ({ binding, resource: { buffer } })),
        });
      }
      encoder ??= device.createCommandEncoder();
      pass ??= encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...workgroups);
      return result;
    };
  }

  return {
    backend: 'gpu:webgpu',
    notes: [adapter.name, ...(adapter.software ? ['software adapter'] : [])],
    get memory() {
      return memory;
    },
    get kernels() {
      return kernels;
    },
    async prepare(calls, signal) {
      signal?.throwIfAborted();
      for (const { layout, inputs } of calls) [layout, ...inputs].forEach(requireFit);
      const dispatches = calls.map(dispatchOf);
      kernels = new Set(dispatches.map(({ wgsl }) => wgsl)).size;
      return settle(Promise.all(calls.map((call, index) => compileCall(call, dispatches[index]!))));
    },
    upload(layout, write) {
      // Recorded commands may read what the buffer holds.
      flush();
      const tensor = acquire(layout);
      const staged = staging.zeros(storedFloats(layout));
      write(staged);
      queue.writeBuffer(tensor.buffer, 0, staged);
      return tensor;
    },
    check() {
      staging.clear();
      return settle(Promise.resolve());
    },
    free(tensor) {
      const free = pool.get(tensor.key);
      if (free) free.push(tensor);
      else pool.set(tensor.key, [tensor]);
    },
    async read(tensors) {
      if (shared.lost() !== undefined)
        throw new Error(`The GPU device was lost (${shared.lost()}); compile the model again.`);
      if (tensors.length === 0) {
        flush();
        await settle(queue.onSubmittedWorkDone());
        return [];
      }
      encoder ??= device.createCommandEncoder();
      pass?.end();
      pass = undefined;
      const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
      const readback = create(bytes, usage.mapRead | usage.copyTarget);
      let start = 0;
      for (const tensor of tensors) {
        encoder.copyBufferToBuffer(tensor.buffer, 0, readback, start, tensor.bytes);
        start += tensor.bytes;
      }
      flush();
      try {
        await settle(readback.mapAsync(usage.mapRead));
        const mapped = readback.getMappedRange();
        let at = 0;
        return tensors.map((tensor) => {
          const data = new Float32Array(mapped.slice(at, at + tensor.bytes));
          at += tensor.bytes;
          return data;
        });
      } finally {
        destroy(readback);
      }
    },
    dispose() {
      encoder = undefined;
      pass = undefined;
      for (const buffer of [...buffers]) destroy(buffer);
      pool.clear();
    },
  };
}
