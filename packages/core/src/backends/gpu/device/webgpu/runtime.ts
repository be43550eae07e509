/**
 * Programs on WebGPU: all kernels of a run go into one command buffer over buffers that are taken from a pool.
 * gpu.js gives the device and translates kernels; its pipelines are not used, as their results always go
 * through the host and hand-written shaders have no place in them.
 */
import { BackendUnavailable } from '../../../../errors.js';
import { heldBy, isFramed, type Layout } from '../../layout/planar.js';
import type { Engine, EngineCall, Prepared } from '../runtime.js';
import { Room } from '../staging.js';
import type { SharedDevice } from './sharedDevice.js';

/** The flags of GPUBufferUsage, which is there only where WebGPU is. */
const usage = { mapRead: 1, copySource: 4, copyTarget: 8, uniform: 64, storage: 128 } as const;

const VALUES = usage.storage | usage.copySource | usage.copyTarget;

/** Values in a buffer. */
export interface DeviceValue {
  readonly buffer: GPUBuffer;
  readonly bytes: number;
  /** Where it goes when it is free. */
  readonly key: string;
}

/** Values with a frame lie only where values of the same layout lay: the zeros of the frame are never written. */
const keyOf = (layout: Layout): string =>
  isFramed(layout) ? `${layout.extents.join('x')} ${layout.frame.join()}` : String(heldBy(layout));

/** The class is there only where WebGPU is. */
const isOutOfMemory = (error: GPUError): boolean =>
  typeof GPUOutOfMemoryError !== 'undefined' && error instanceof GPUOutOfMemoryError;

/** What a kernel's threads need to know, and how many there are. */
interface Dispatch {
  readonly wgsl: string;
  readonly parameters: Uint32Array;
  readonly workgroups: readonly [number, number, number];
}

const threeOf = (dims: readonly number[]): readonly [number, number, number] => [
  dims[0] ?? 1,
  dims[1] ?? 1,
  dims[2] ?? 1,
];

/** An engine on the device. */
export function webgpuEngine(shared: SharedDevice): Engine<DeviceValue> {
  const { device, adapter } = shared;
  const { limits, queue } = device;
  const most = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  const pool = new Map<string, DeviceValue[]>();
  const buffers = new Set<GPUBuffer>();
  const room = new Room();
  /** Errors that the device reports in its own time. */
  let reports: Promise<GPUError | null>[] = [];
  let encoder: GPUCommandEncoder | undefined;
  let pass: GPUComputePassEncoder | undefined;
  let memory = 0;
  let kernels = 0;

  const watched = <T>(filter: GPUErrorFilter, work: () => T): T => {
    device.pushErrorScope(filter);
    try {
      return work();
    } finally {
      reports.push(device.popErrorScope().catch(() => null));
    }
  };

  function create(size: number, flags: number): GPUBuffer {
    const buffer = watched('out-of-memory', () => device.createBuffer({ size, usage: flags }));
    buffers.add(buffer);
    memory += size;
    return buffer;
  }

  function destroy(buffer: GPUBuffer): void {
    if (!buffers.delete(buffer)) return;
    memory -= buffer.size;
    buffer.destroy();
  }

  function take(layout: Layout): DeviceValue {
    const key = keyOf(layout);
    const free = pool.get(key)?.pop();
    if (free) return free;
    const bytes = heldBy(layout) * 4;
    // Shaders read whole vectors.
    return { key, bytes, buffer: create(Math.ceil(bytes / 16) * 16, VALUES) };
  }

  function flush(): void {
    if (!encoder) return;
    pass?.end();
    const commands = encoder.finish();
    encoder = undefined;
    pass = undefined;
    watched('validation', () => queue.submit([commands]));
  }

  async function settled<T>(work: Promise<T>): Promise<T> {
    try {
      const [result] = await Promise.all([work, complain()]);
      if (shared.lost() === undefined) return result;
    } catch (error) {
      // The news of a loss may come a moment after the errors it makes.
      await Promise.race([device.lost, new Promise((resolve) => setTimeout(resolve, 50))]);
      if (shared.lost() === undefined) throw error;
    }
    throw new Error(`The GPU device was lost (${shared.lost()}); compile the model again.`);
  }

  async function complain(): Promise<void> {
    const waiting = reports;
    reports = [];
    const error = (await Promise.all(waiting)).find((report) => report !== null);
    if (!error) return;
    if (isOutOfMemory(error))
      throw new BackendUnavailable('gpu', 'The memory of the GPU is too small; use the wasm back end.');
    throw new Error(`The GPU reports an error: ${error.message}`);
  }

  function dispatchOf({ kernel, layout, inputs }: EngineCall): Dispatch {
    if (kernel.language === 'glsl') throw new Error('A kernel in GLSL does not run on WebGPU.');
    const limit = limits.maxComputeWorkgroupsPerDimension;
    const [x, y, z] = threeOf(layout.dims);
    const line = layout.dims.length === 1;
    const groups: [number, number, number] = line
      ? [Math.ceil(x / 64), 1, 1]
      : [Math.ceil(x / 8), Math.ceil(y / 8), z];
    if (line && groups[0] > limit) {
      groups[1] = Math.ceil(groups[0] / limit);
      groups[0] = Math.ceil(groups[0] / groups[1]);
    }
    const workgroups = kernel.language === 'wgsl' ? kernel.workgroups : groups;
    if (workgroups.some((count) => count > limit))
      throw new BackendUnavailable(
        'gpu',
        `A value of ${layout.shape.join('x')} needs more threads than this GPU takes at once; use the wasm back end.`,
      );
    if (kernel.language === 'wgsl')
      return { wgsl: kernel.text, parameters: Uint32Array.from(kernel.sizes), workgroups };
    return {
      wgsl: shared.translate(kernel.text, layout.dims.length),
      workgroups,
      parameters: Uint32Array.from([
        ...[x, y, z, line ? groups[0] * 64 : 0],
        ...inputs.flatMap(({ dims }) => [...threeOf(dims), dims.reduce((a, b) => a * b, 1)]),
      ]),
    };
  }

  function checkSize(layout: Layout): void {
    const bytes = heldBy(layout) * 4;
    if (bytes > most)
      throw new BackendUnavailable(
        'gpu',
        `A value of ${layout.shape.join('x')} takes ${bytes} bytes; this GPU has at most ${most} in one buffer. Use the wasm back end.`,
      );
  }

  async function prepareCall(
    { layout, inputs: operands }: EngineCall,
    { wgsl, parameters, workgroups }: Dispatch,
  ): Promise<Prepared<DeviceValue>> {
    const { pipeline, bindings } = await shared.pipeline(wgsl, operands.length);
    const uniform = create(Math.ceil(parameters.byteLength / 16) * 16, usage.uniform | usage.copyTarget);
    queue.writeBuffer(uniform, 0, parameters as Uint32Array<ArrayBuffer>);
    let bound: readonly GPUBuffer[] = [];
    let group: GPUBindGroup | undefined;
    return (inputs) => {
      const result = take(layout);
      const wanted = [...inputs, result].map(({ buffer }) => buffer);
      // The pool gives the same buffers in every run, so that this is made once.
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
      for (const { layout, inputs } of calls) [layout, ...inputs].forEach(checkSize);
      const dispatches = calls.map(dispatchOf);
      kernels = new Set(dispatches.map(({ wgsl }) => wgsl)).size;
      return settled(Promise.all(calls.map((call, index) => prepareCall(call, dispatches[index]!))));
    },
    upload(layout, write) {
      // Commands that wait read what was there before.
      flush();
      const value = take(layout);
      const held = room.zeros(heldBy(layout));
      write(held);
      queue.writeBuffer(value.buffer, 0, held);
      return value;
    },
    check() {
      room.clear();
      return settled(Promise.resolve());
    },
    free(value) {
      const places = pool.get(value.key);
      if (places) places.push(value);
      else pool.set(value.key, [value]);
    },
    async read(values) {
      if (shared.lost() !== undefined)
        throw new Error(`The GPU device was lost (${shared.lost()}); compile the model again.`);
      if (values.length === 0) {
        flush();
        await settled(queue.onSubmittedWorkDone());
        return [];
      }
      encoder ??= device.createCommandEncoder();
      pass?.end();
      pass = undefined;
      const bytes = values.reduce((sum, value) => sum + value.bytes, 0);
      const staging = create(bytes, usage.mapRead | usage.copyTarget);
      let start = 0;
      for (const value of values) {
        encoder.copyBufferToBuffer(value.buffer, 0, staging, start, value.bytes);
        start += value.bytes;
      }
      flush();
      try {
        await settled(staging.mapAsync(usage.mapRead));
        const mapped = staging.getMappedRange();
        let at = 0;
        return values.map((value) => {
          const data = new Float32Array(mapped.slice(at, at + value.bytes));
          at += value.bytes;
          return data;
        });
      } finally {
        destroy(staging);
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
