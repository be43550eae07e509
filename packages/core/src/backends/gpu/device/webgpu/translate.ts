/** Translates kernels in JavaScript to WGSL by gpu.js, whose pipeline is not used. */
import type { GpuInstance, GpuLibrary } from '../../library.js';
import { memoize } from '../memoize.js';

/**
 * Makes a function that translates kernels with an instance of gpu.js.
 * @returns the function: it takes a kernel whose result has `rank` dimensions, and gives a shader whose sizes
 * are all parameters, so that the text does not depend on them.
 */
export function translatorOf(library: GpuLibrary): (source: string, rank: number) => string {
  let gpu: GpuInstance | undefined;
  return memoize((source, rank) => {
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
