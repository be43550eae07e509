/**
 * The gpu back end: runs graphs on WebGPU where there is an adapter, else on WebGL2, through gpu.js. Kernels
 * are text generated for the shapes of the graph; weights and parameters stay on the device.
 */
import { BackendUnavailable } from '../../errors.js';
import type { Graph } from '../../graph/graph.js';
import type { Weights } from '../../tensor/tensor.js';
import type { Backend, CompileOptions, Program } from '../backend.js';
import { yieldToEventLoop } from '../common/yield.js';
import { findAdapter } from './adapter.js';
import { loadLibrary } from './library.js';

/** Options of {@link gpuBackend}. */
export interface GpuOptions {
  /** Default: WebGPU where there is an adapter, else WebGL2; the program's `fallbackReason` then says why. */
  readonly mode?: 'webgpu' | 'webgl2';
  /** False to refuse adapters that compute on the CPU, as `auto` does since wasm is faster. Default true. */
  readonly software?: boolean;
}

/** Makes the gpu back end. It needs the package gpu.js, and in Node also a `navigator.gpu`. */
export const gpuBackend = (options: GpuOptions = {}): Backend => ({
  name: 'gpu',
  compile: (graph, weights, compileOptions) => compileGpu(graph, weights, options, compileOptions),
});

async function compileGpu(
  graph: Graph,
  weights: Weights,
  { mode: requested, software = true }: GpuOptions,
  { signal }: CompileOptions = {},
): Promise<Program> {
  signal?.throwIfAborted();
  const reasons: string[] = [];
  for (const mode of requested ? [requested] : (['webgpu', 'webgl2'] as const)) {
    const adapter = await findAdapter[mode]();
    if (typeof adapter === 'string') reasons.push(adapter);
    else if (adapter.software && !software) {
      adapter.release?.();
      reasons.push(
        `The adapter of ${mode} (${adapter.name}) is a software adapter: it computes on the CPU, where wasm is faster.`,
      );
    } else
      try {
        // All other modules are loaded here, so that pages without a GPU do not fetch them. gpu.js runs for a
        // while when it is loaded, so it is loaded after hand-written kernels have started to compile.
        const library = yieldToEventLoop().then(loadLibrary);
        library.catch(() => undefined);
        const { compilers } = await import('./compilers.js');
        signal?.throwIfAborted();
        const fallbackReason = reasons.join(' ') || undefined;
        return await compilers[mode](library, adapter, { graph, weights, signal, fallbackReason });
      } catch (error) {
        if (!(error instanceof BackendUnavailable)) throw error;
        reasons.push(error.message);
      }
    signal?.throwIfAborted();
  }
  throw new BackendUnavailable('gpu', [...new Set(reasons)].filter(Boolean).join(' '));
}
