/** WebGPU device of gpu.js, which all programs share, with its compiled kernels and how it was lost. */
import { BackendUnavailable } from '../../../../errors.js';
import { type Adapter, adapterOf } from '../../adapter.js';
import type { GpuLibrary } from '../../library.js';
import { memoize } from '../memoize.js';
import { translatorOf } from './translate.js';

/** Flag of GPUShaderStage. */
const COMPUTE = 4;

/** Compiled kernel, and the layout of its bindings: parameters, inputs, result. */
export interface CompiledKernel {
  readonly pipeline: GPUComputePipeline;
  readonly bindings: GPUBindGroupLayout;
}

const devices = new WeakMap<GPUDevice, SharedDevice>();

/**
 * Gives the device; a new one after the last was lost.
 * @throws BackendUnavailable if the adapter provides none.
 */
export async function sharedDevice(library: GpuLibrary): Promise<SharedDevice> {
  const { adapter, device } = await library.WebGPUContext.acquire().catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BackendUnavailable('gpu', `WebGPU provides no device (${reason}).`);
  });
  const shared = devices.get(device) ?? new SharedDevice(device, adapterOf(adapter), translatorOf(library));
  devices.set(device, shared);
  return shared;
}

/** Device, and what programs share on it. */
export class SharedDevice {
  readonly #bindings: Record<number, GPUBindGroupLayout> = {};
  /** Reason why the device was lost; undefined while it is not. */
  lost: string | undefined;

  /** @param translate - translates a kernel for gpu.js, whose result has `rank` dimensions, to WGSL. */
  constructor(
    readonly device: GPUDevice,
    readonly adapter: Adapter,
    readonly translate: (source: string, rank: number) => string,
  ) {
    void device.lost.then(({ message, reason }) => {
      this.lost = message || reason;
    });
  }

  /** Compiles a shader that reads `inputs` arrays. A failure may be cached: such a shader never compiles. */
  readonly pipeline = memoize(async (wgsl: string, inputs: number): Promise<CompiledKernel> => {
    const { device } = this;
    const bindings = this.#bindingsOf(inputs);
    const pipeline = await device.createComputePipelineAsync({
      layout: device.createPipelineLayout({ bindGroupLayouts: [bindings] }),
      compute: { module: device.createShaderModule({ code: wgsl }), entryPoint: 'main' },
    });
    return { pipeline, bindings };
  });

  #bindingsOf(inputs: number): GPUBindGroupLayout {
    const types = [
      'uniform',
      ...Array<'read-only-storage'>(inputs).fill('read-only-storage'),
      'storage',
    ] as const;
    this.#bindings[inputs] ??= this.device.createBindGroupLayout({
      entries: types.map((type, binding) => ({ binding, visibility: COMPUTE, buffer: { type } })),
    });
    return this.#bindings[inputs];
  }
}
