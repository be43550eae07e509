/** Compiles graphs for WebGPU and WebGL2. A separate module, so that bundlers can load it on demand. */
import type { Graph } from '../../graph/graph.js';
import type { Weights } from '../../tensor/tensor.js';
import type { Program } from '../backend.js';
import type { Adapter } from './adapter.js';
import type { Block, DeviceRuntime } from './device/runtime.js';
import { WebGl2Runtime } from './device/webgl2/runtime.js';
import { sharedContext } from './device/webgl2/sharedContext.js';
import { WebGpuRuntime } from './device/webgpu/runtime.js';
import { sharedDevice } from './device/webgpu/sharedDevice.js';
import type { GpuLibrary } from './library.js';
import type { GpuMode } from './mode.js';
import { planKernels } from './planKernels.js';
import { compilePlan } from './program.js';

/** Graph to compile. */
interface CompileRequest {
  readonly graph: Graph;
  readonly weights: Weights;
  readonly signal?: AbortSignal;
  readonly fallbackReason?: string;
}

/** Loaded with the compilers, since only programs on a GPU are compared. */
export { compareWithCpu } from './compare.js';

const compileOn = <B extends Block>(
  mode: GpuMode,
  runtime: DeviceRuntime<B>,
  { graph, weights, ...options }: CompileRequest,
) => compilePlan(graph, weights, planKernels(graph, weights, mode), runtime, options);

/** Compiles a graph with a device runtime of its own, for each mode. */
export const compilers: Readonly<
  Record<
    GpuMode,
    (library: Promise<GpuLibrary>, adapter: Adapter, request: CompileRequest) => Promise<Program>
  >
> = {
  webgpu: async (library, _, request) =>
    compileOn('webgpu', new WebGpuRuntime(await sharedDevice(await library)), request),
  webgl2: async (library, adapter, request) =>
    compileOn('webgl2', new WebGl2Runtime(sharedContext(adapter), library), request),
};
