/** Kernels in JavaScript become WGSL: gpu.js translates them, and what it makes is taken from it as text. */
import type { GpuInstance, GpuLibrary } from '../library.js';

const translators = new WeakMap<GpuLibrary, (source: string, rank: number) => string>();

/** The WGSL of a kernel whose result has `rank` dimensions. All sizes are in its parameters, not in the text. */
export function translatorOf(library: GpuLibrary): (source: string, rank: number) => string {
  const known = translators.get(library);
  if (known) return known;
  let gpu: GpuInstance | undefined;
  const translate = (source: string, rank: number): string => {
    gpu ??= new library.GPU({ mode: 'webgpu' });
    const { kernel } = gpu.createKernel(source, { output: Array.from({ length: rank }, () => 1) });
    try {
      const count = /^function \(([^)]*)\)/
        .exec(source)![1]!
        .split(',')
        .filter((name) => name.trim()).length;
      const inputs = Array.from({ length: count }, () => new library.Input(new Float32Array(1), [1, 1, 1]));
      kernel.setupConstants();
      kernel.setupArguments(inputs);
      kernel.validateSettings(inputs);
      kernel.threadDim = [1, 1, 1];
      kernel.translateSource();
      kernel.paramsLayout = kernel.computeParamsLayout();
      return kernel.assembleWGSL();
    } finally {
      kernel.destroy();
    }
  };
  translators.set(library, translate);
  return translate;
}
