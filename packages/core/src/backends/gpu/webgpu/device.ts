/** The WebGPU device that gpu.js holds for everyone, with what the programs on it share: compiled kernels, and its end. */
import { type Adapter, adapterOf } from '../adapter.js';
import type { GpuLibrary } from '../library.js';
import { translatorOf } from './translate.js';

/** The flag of GPUShaderStage. */
const COMPUTE = 4;

/** Compiled kernels that are kept; beyond, all are dropped, and those still wanted are compiled again. */
const MOST_KERNELS = 1000;

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
 * @throws Error when there is no adapter.
 */
export async function sharedDevice(library: GpuLibrary): Promise<SharedDevice> {
  const { adapter, device } = await library.WebGPUContext.acquire();
  const known = devices.get(device);
  if (known) return known;
  let lost: string | undefined;
  void device.lost.then(({ message, reason }) => {
    lost = message || reason;
  });
  const pipelines = new Map<string, Promise<Pipeline>>();
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
    pipeline(wgsl, inputs) {
      const present = pipelines.get(wgsl);
      if (present) return present;
      if (pipelines.size >= MOST_KERNELS) pipelines.clear();
      const bindings = layoutOf(inputs);
      const made = device
        .createComputePipelineAsync({
          layout: device.createPipelineLayout({ bindGroupLayouts: [bindings] }),
          compute: { module: device.createShaderModule({ code: wgsl }), entryPoint: 'main' },
        })
        .then((pipeline) => ({ pipeline, bindings }));
      pipelines.set(wgsl, made);
      made.catch(() => pipelines.delete(wgsl));
      return made;
    },
    translate: translatorOf(library),
  };
  devices.set(device, shared);
  return shared;
}
