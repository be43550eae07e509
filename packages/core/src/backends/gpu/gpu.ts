/**
 * The gpu back end: graphs on the GPU through gpu.js, on WebGPU where there is an adapter, else on WebGL2.
 * Kernels are source text made for the exact shapes; weights and parameters stay on the device.
 */
import { BackendUnavailable } from '../../errors.js';
import type { Graph } from '../../graph/graph.js';
import type { Weights } from '../../tensor/tensor.js';
import type { Backend, CompileOptions, Program } from '../backend.js';
import type { Engine } from './engine.js';
import { loadLibrary } from './library.js';
import type { Mode } from './plan.js';
import { planGraph } from './planner.js';
import { compilePlan } from './program.js';
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

/** Compiles on what was found. */
type Compile = (
  graph: Graph,
  weights: Weights,
  options: { readonly signal?: AbortSignal; readonly fallbackReason?: string },
) => Promise<Program>;

/** A way to a GPU, or the reason why there is none. */
type Found = { readonly compile: Compile } | { readonly missing: string };

/** Plans for the mode and compiles on the engine that `open` gives. */
const on =
  <H>(mode: Mode, open: () => Engine<H>): Compile =>
  (graph, weights, options) =>
    compilePlan(graph, weights, planGraph(graph, weights, mode), open(), options);

async function compileGpu(
  graph: Graph,
  weights: Weights,
  options: GpuOptions,
  { signal }: CompileOptions = {},
): Promise<Program> {
  signal?.throwIfAborted();
  const reasons: string[] = [];
  for (const mode of options.mode ? [options.mode] : (['webgpu', 'webgl2'] as const)) {
    const found = await finders[mode](options);
    signal?.throwIfAborted();
    if ('missing' in found) {
      reasons.push(found.missing);
      continue;
    }
    return found.compile(graph, weights, { signal, fallbackReason: reasons.join(' ') || undefined });
  }
  throw new BackendUnavailable('gpu', [...new Set(reasons)].join(' '));
}

const inNode = (): boolean => typeof process !== 'undefined' && process.versions?.node !== undefined;

/** Why an adapter is passed over that computes on the CPU. */
const slow = (name: string): string =>
  `The adapter (${name}) computes on the CPU, where the wasm back end is faster.`;

const finders: Readonly<Record<Mode, (options: GpuOptions) => Promise<Found>>> = {
  async webgpu({ software = true }) {
    if (typeof navigator === 'undefined' || !navigator.gpu)
      return {
        missing: inNode()
          ? 'Node has no WebGPU of its own. Install it and gpu.js with: npm install gpu.js@2.24 webgpu, and put it on navigator.gpu as docs/gpu.md shows.'
          : 'There is no WebGPU here.',
      };
    const library = await loadLibrary();
    try {
      const shared = await sharedDevice(library);
      if (shared.software && !software) return { missing: slow(shared.name) };
      return { compile: on('webgpu', () => webgpuEngine(shared)) };
    } catch (error) {
      return {
        missing: `WebGPU gives no device (${error instanceof Error ? error.message : String(error)}).`,
      };
    }
  },
  async webgl2() {
    return { missing: inNode() ? '' : 'There is no WebGL2 here.' };
  },
};
