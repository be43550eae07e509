/** From a graph to a program on WebGPU or WebGL2: a module of its own, so that bundlers can leave it for later. */
import type { Graph } from '../../graph/graph.js';
import type { Weights } from '../../tensor/tensor.js';
import type { Program } from '../backend.js';
import type { Adapter } from './adapter.js';
import type { Engine } from './device/runtime.js';
import { webgl2Engine } from './device/webgl2/runtime.js';
import { sharedContext } from './device/webgl2/sharedContext.js';
import { webgpuEngine } from './device/webgpu/runtime.js';
import { sharedDevice } from './device/webgpu/sharedDevice.js';
import type { GpuLibrary } from './library.js';
import type { Mode } from './plan/plan.js';
import { planGraph } from './plan/planKernels.js';
import { compilePlan } from './program.js';

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
export const compilers: Readonly<
  Record<Mode, (library: Promise<GpuLibrary>, adapter: Adapter, compiling: Compiling) => Promise<Program>>
> = {
  webgpu: async (library, _, compiling) =>
    compileOn('webgpu', webgpuEngine(await sharedDevice(await library)), compiling),
  webgl2: async (library, adapter, compiling) =>
    compileOn('webgl2', webgl2Engine(sharedContext(adapter), library), compiling),
};
