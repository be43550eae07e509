/**
 * The gpu back end: runs graphs on WebGPU where there is an adapter, else on WebGL2, through gpu.js. Kernels
 * are text generated for the shapes of the graph; weights and parameters stay on the device. Everything but this
 * file is loaded on demand.
 */
import { BackendUnavailable } from '../../errors.js';
import type { Backend } from '../backend.js';
import type { GpuOptions } from './compileGpu.js';

export type { GpuOptions };

/** Makes the gpu back end. It needs the package gpu.js, and in Node also a `navigator.gpu`. */
export const gpuBackend = (options: GpuOptions = {}): Backend => ({
  name: 'gpu',
  async compile(graph, weights, compileOptions) {
    // Service workers refuse dynamic imports.
    const { compileGpu } = await import('./compileGpu.js').catch((error: Error) => {
      throw new BackendUnavailable('gpu', `Its code could not be loaded (${error.message}).`);
    });
    return compileGpu(graph, weights, options, compileOptions);
  },
});
