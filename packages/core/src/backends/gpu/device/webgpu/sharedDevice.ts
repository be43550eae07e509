/** The WebGPU device that gpu.js holds for everyone, with what the programs on it share: compiled kernels, and its end. */
import { BackendUnavailable } from '../../../../errors.js';
import { type Adapter, adapterOf } from '../../adapter.js';
import type { GpuLibrary } from '../../library.js';
import { remember } from '../memoize.js';
import { translatorOf } from './translate.js';

/** The flag of GPUShaderStage. */
const COMPUTE = 4;

/** A compiled kernel and the layout of its bindings: parameters, inputs, result. */
export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly bindings: GPUBindGroupLayout;
}

/** A device and what programs share on it. */
export interface SharedDevice {
  readonly device: GPUDevice;
  readonly adapter: Adapter;
  /** Why the device is gone; undefined while it is there. */
  readonly lost: () => string | undefined;
  /** The compiled form of a shader that reads so many arrays. */
  readonly pipeline: (wgsl: string, inputs: number) => Promise<Pipeline>;
  /** The WGSL of a kernel for gpu.js. */
  readonly translate: (source: string, rank: number) => string;
}

const devices = new WeakMap<GPUDevice, SharedDevice>();

/**
 * The device; a new one when the last was lost.
 * @throws BackendUnavailable when the adapter gives none.
 */
export async function sharedDevice(library: GpuLibrary): Promise<SharedDevice> {
  const { adapter, device } = await library.WebGPUContext.acquire().catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BackendUnavailable('gpu', `WebGPU gives no device (${reason}).`);
  });
  const known = devices.get(device);
  if (known) return known;
  let lost: string | undefined;
  void device.lost.then(({ message, reason }) => {
    lost = message || reason;
  });
  const layouts: Record<number, GPUBindGroupLayout> = {};
  const layoutOf = (inputs: number): GPUBindGroupLayout => {
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
    // A shader that does not compile never will: to remember the failure is right.
    pipeline: remember(async (wgsl, inputs) => {
      const bindings = layoutOf(inputs);
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
