/**
 * The gpu back end: graphs on the GPU through gpu.js, on WebGPU where there is an adapter, else on WebGL2.
 * Kernels are source text made for the exact shapes; weights and parameters stay on the device.
 */
import { BackendUnavailable } from '../../errors.js';
import type { Graph } from '../../graph/graph.js';
import type { Weights } from '../../tensor/tensor.js';
import type { Backend, CompileOptions, Program } from '../backend.js';
import { type Adapter, findAdapter } from './adapter.js';
import type { Engine } from './engine.js';
import { type GpuLibrary, loadLibrary } from './library.js';
import type { Mode } from './plan.js';
import { planGraph } from './planner.js';
import { compilePlan } from './program.js';
import { sharedContext } from './webgl2/context.js';
import { webgl2Engine } from './webgl2/engine.js';
import { sharedDevice } from './webgpu/device.js';
import { webgpuEngine } from './webgpu/engine.js';

/** Options of {@link gpuBackend}. */
export interface GpuOptions {
  /** Default: WebGPU where there is an adapter, else WebGL2, and the reason is told. */
  readonly mode?: Mode;
  /** Whether an adapter that computes on the CPU will do. Default true; `auto` says false, as wasm is faster. */
  readonly software?: boolean;
}

/** The gpu back end. It needs the package gpu.js, and in Node a `navigator.gpu` too. */
export const gpuBackend = (options: GpuOptions = {}): Backend => ({
  name: 'gpu',
  compile: (graph, weights, compileOptions) => compileGpu(graph, weights, options, compileOptions),
});

/** What is known when an engine is opened. */
interface Compiling {
  readonly graph: Graph;
  readonly weights: Weights;
  readonly signal?: AbortSignal;
  readonly fallbackReason?: string;
}

const compileOn = <H>(mode: Mode, engine: Engine<H>, { graph, weights, ...options }: Compiling) =>
  compilePlan(graph, weights, planGraph(graph, weights, mode), engine, options);

/** Opens an engine and compiles on it. */
const compilers: Readonly<
  Record<Mode, (library: GpuLibrary, adapter: Adapter, compiling: Compiling) => Promise<Program>>
> = {
  webgpu: async (library, _, compiling) =>
    compileOn('webgpu', webgpuEngine(await sharedDevice(library)), compiling),
  webgl2: async (library, adapter, compiling) =>
    compileOn('webgl2', webgl2Engine(sharedContext(library, adapter)), compiling),
};

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
    else if (adapter.software && !software)
      reasons.push(
        `The adapter of ${mode} (${adapter.name}) is a software adapter: it computes on the CPU, where wasm is faster.`,
      );
    else {
      const library = await loadLibrary();
      signal?.throwIfAborted();
      const fallbackReason = reasons.join(' ') || undefined;
      return compilers[mode](library, adapter, { graph, weights, signal, fallbackReason });
    }
    signal?.throwIfAborted();
  }
  throw new BackendUnavailable('gpu', reasons.filter(Boolean).join(' '));
}
