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

/** Device, and what programs share on it. */
export interface SharedDevice {
  readonly device: GPUDevice;
  readonly adapter: Adapter;
  /** Gives the reason why the device was lost; undefined while it is not. */
  readonly lost: () => string | undefined;
  /** Compiles a shader that reads `inputs` arrays. */
  readonly pipeline: (wgsl: string, inputs: number) => Promise<CompiledKernel>;
  /** Translates a kernel for gpu.js, whose result has `rank` dimensions, to WGSL. */
  readonly translate: (source: string, rank: number) => string;
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
  const known = devices.get(device);
  if (known) return known;
  let lost: string | undefined;
  void device.lost.then(({ message, reason }) => {
    lost = message || reason;
  });
  const layouts: Record<number, GPUBindGroupLayout> = {};
  const bindingsOf = (inputs: number): GPUBindGroupLayout => {
    layouts[inputs] ??= device.createBindGroupLayout({
      entries: [
        'uniform' as const,
        ...Array.from({ length: inputs }, () => 'read-only-storage' as const),
        'storage' as const,
      ].map((type, binding) => ({ binding, visibility: COMPUTE, buffer: { type } })),
    });
    return layouts[inputs];
  };
  const shared: SharedDevice = {
    device,
    adapter: adapterOf(adapter),
    lost: () => lost,
    // A failure may be cached: a shader that does not compile never will.
    pipeline: memoize(async (wgsl, inputs) => {
      const bindings = bindingsOf(inputs);
      const pipeline = await device.createComputePipelineAsync({
        layout: device.createPipelineLayout({ bindGroupLayouts: [bindings] }),
        compute: { module: device.createShaderModule({ code: wgsl }), entryPoint: 'main' },
      });
      return { pipeline, bindings };
    }),
    translate: translatorOf(library),
  };
  devices.set(device, shared);
  return shared;
}
