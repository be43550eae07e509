/** Compiles graphs for a GPU, if there is one. */
import { BackendUnavailable } from '../../errors.js';
import type { Graph } from '../../graph/graph.js';
import type { Weights } from '../../tensor/tensor.js';
import type { CompileOptions, Program } from '../backend.js';
import { findAdapter } from './adapter.js';
import { loadLibrary, loadLibraryIfPresent } from './library.js';

/** Options of the gpu back end. */
export interface GpuOptions {
  /** Default: WebGPU where there is an adapter, else WebGL2; the program's `fallbackReason` then says why. */
  readonly mode?: 'webgpu' | 'webgl2';
  /** False to refuse adapters that compute on the CPU, as `auto` does since wasm is faster. Default true. */
  readonly software?: boolean;
}

/** True if there is something to ask for a GPU: WebGPU, or a canvas for WebGL2. */
const mayHaveGpu = (): boolean =>
  (typeof navigator !== 'undefined' && navigator.gpu !== undefined) ||
  typeof OffscreenCanvas !== 'undefined' ||
  typeof document !== 'undefined';

/**
 * Compiles a graph for the first mode that can be used.
 * @throws BackendUnavailable with the reason of every mode if there is none.
 */
export async function compileGpu(
  graph: Graph,
  weights: Weights,
  { mode: requested, software = true }: GpuOptions,
  { signal }: CompileOptions = {},
): Promise<Program> {
  signal?.throwIfAborted();
  // Without gpu.js, a GPU that `auto` finds is of no use, and looking for it writes warnings to the console.
  if (!software && mayHaveGpu()) await loadLibraryIfPresent();
  signal?.throwIfAborted();
  const reasons: string[] = [];
  for (const mode of requested ? [requested] : (['webgpu', 'webgl2'] as const)) {
    const adapter = await findAdapter(mode);
    if (typeof adapter === 'string') reasons.push(adapter);
    else if (adapter.software && !software) {
      adapter.release?.();
      reasons.push(
        `The adapter of ${mode} (${adapter.name}) is a software adapter: it computes on the CPU, where wasm is faster.`,
      );
    } else
      try {
        // The kernels are loaded here, so that pages without a GPU do not fetch them. gpu.js runs for a
        // while when it is loaded (0.3 seconds), so it is loaded after hand-written kernels have started to compile,
        // if it is not yet.
        const library = new Promise((resolve) => setTimeout(resolve)).then(loadLibrary);
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
