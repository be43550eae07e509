/**
 * The gpu back end: graphs on the GPU through gpu.js, on WebGPU where there is an adapter, else on WebGL2.
 * Kernels are source text made for the exact shapes; weights and parameters stay on the device.
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
  /** Default: WebGPU where there is an adapter, else WebGL2, and the reason is told. */
  readonly mode?: 'webgpu' | 'webgl2';
  /** Whether an adapter that computes on the CPU will do. Default true; `auto` says false, as wasm is faster. */
  readonly software?: boolean;
}

/** The gpu back end. It needs the package gpu.js, and in Node a `navigator.gpu` too. */
export const gpuBackend = (options: GpuOptions = {}): Backend => ({
  name: 'gpu',
  compile: (graph, weights, compileOptions) => compileGpu(graph, weights, options, compileOptions),
});

async function compileGpu(
  graph: Graph,
  weights: Weights,
  { mode: asked, software = true }: GpuOptions,
  { signal }: CompileOptions = {},
): Promise<Program> {
  signal?.throwIfAborted();
  const reasons: string[] = [];
  for (const mode of asked ? [asked] : (['webgpu', 'webgl2'] as const)) {
    const adapter = await findAdapter[mode]();
    if (typeof adapter === 'string') reasons.push(adapter);
    else if (adapter.software && !software) {
      adapter.release?.();
      reasons.push(
        `The adapter of ${mode} (${adapter.name}) is a software adapter: it computes on the CPU, where wasm is faster.`,
      );
    } else
      try {
        // Everything else is loaded when there is a GPU to use it: pages that run on the CPU do not fetch it.
        // gpu.js runs for a while when it arrives, so what is written by hand shall be compiling by then.
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
