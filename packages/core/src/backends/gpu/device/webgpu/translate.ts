/** Kernels in JavaScript become WGSL: gpu.js translates them, and what it makes is taken from it as text. */

import type { GpuInstance, GpuLibrary } from '../../library.js';
import { remember } from '../memoize.js';

/** Translates with an instance of gpu.js: the WGSL of a kernel whose result has `rank` dimensions. All sizes are in its parameters, not in the text. */
export function translatorOf(library: GpuLibrary): (source: string, rank: number) => string {
  let gpu: GpuInstance | undefined;
  return remember((source, rank) => {
    gpu ??= new library.GPU({ mode: 'webgpu' });
    const { kernel } = gpu.createKernel(source, { output: Array.from({ length: rank }, () => 1) });
    const inputs = kernel.argumentNames.map(() => new library.Input(new Float32Array(1), [1, 1, 1]));
    kernel.setupConstants();
    kernel.setupArguments(inputs);
    kernel.validateSettings(inputs);
    kernel.threadDim = [1, 1, 1];
    kernel.translateSource();
    kernel.paramsLayout = kernel.computeParamsLayout();
    gpu.kernels.length = 0;
    return kernel.assembleWGSL();
  });
}
