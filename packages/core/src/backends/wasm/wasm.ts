/**
 * The wasm back end, which runs on the CPU. It generates kernels for the exact shapes of a graph, stores
 * values in NHWC order in one arena, and runs the whole plan on every thread over one shared memory.
 */
import { BackendUnavailable, ShapeError } from '../../errors.js';
import type { Graph } from '../../graph/graph.js';
import type { Weights } from '../../tensor/tensor.js';
import type { Backend, CompileOptions, Program } from '../backend.js';
import { flopsOf } from '../common/describe.js';
import { threadCount } from '../common/threads.js';
import { detectFeatures, type Engine, engineFor } from './codegen/engine.js';
import { lowererFor } from './ops/index.js';
import { planGraph } from './planGraph.js';
import { wasmProgram } from './program.js';
import { callingThreadRunner } from './runtime/callingThread.js';
import { runMilliseconds } from './runtime/deadline.js';
import { layOutMemory, PAGE_BYTES } from './runtime/memoryImage.js';
import { ownMemoryRunner } from './runtime/ownMemory.js';
import type { Runner } from './runtime/runner.js';
import { sharedMemoryRunner } from './runtime/sharedMemory.js';
import { hasWorkers } from './runtime/workerHandle.js';
import { tileBatch } from './schedule/batchTile.js';
import { wideSimdEnabled } from './wideSimd.js';

/** Options of {@link wasmBackend}. By default they follow from the features of the engine and the page. */
export interface WasmOptions {
  /** True to use workers. Default: true if they can be started. */
  readonly workers?: boolean;
  /** True to share memory between threads. Default: true if it can be shared. */
  readonly sharedMemory?: boolean;
  /**
   * Browsers only: the URL of the workers' program, `@cnn/core/worker.js` of this version. Needed in pages
   * whose content security policy does not allow workers from a blob (`worker-src` without `blob:`). Default:
   * a blob.
   */
  readonly workerUrl?: string | URL;
  /** Instructions and tile sizes for which kernels are generated. Default: the best for this engine. */
  readonly engine?: Engine;
}

/** An empty module, to test whether a content security policy lets WebAssembly compile. */
const EMPTY_MODULE = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);

/** Creates the wasm back end. */
export const wasmBackend = (options: WasmOptions = {}): Backend => ({
  name: 'wasm',
  compile: (graph, weights, compileOptions) => compileWasm(graph, weights, options, compileOptions),
});

async function compileWasm(
  graph: Graph,
  weights: Weights,
  options: WasmOptions,
  { threads: requested, signal }: CompileOptions = {},
): Promise<Program> {
  signal?.throwIfAborted();
  const wanted = threadCount(requested);
  const features = detectFeatures();
  if (!features.simd)
    throw new BackendUnavailable(
      'wasm',
      'This engine has no WebAssembly with SIMD; use the reference back end.',
    );
  await WebAssembly.compile(EMPTY_MODULE).catch((error: Error) => {
    throw new BackendUnavailable(
      'wasm',
      `WebAssembly is not compiled here (${error.message}). In a page, a content security policy has to allow 'wasm-unsafe-eval'; on edge platforms, use the reference back end.`,
    );
  });
  const engine = options.engine ?? engineFor(features, wideSimdEnabled());
  const workers = (options.workers ?? true) && hasWorkers();
  const { workerUrl } = options;
  const canShare = workers && (options.sharedMemory ?? true) && features.threads;
  const prefix = wanted > 1 ? `It runs on 1 thread, not ${wanted}: ` : '';
  const reasons = {
    workers: `${prefix}there are no workers here, so it runs on the calling thread.`,
    sharing:
      prefix &&
      `${prefix}memory cannot be shared between threads here; a page has to be cross-origin isolated for that.`,
  };

  const lowerer = await lowererFor(graph);
  const tiled = tileBatch(graph);
  const answerMilliseconds = runMilliseconds(graph.nodes.reduce((sum, node) => sum + flopsOf(node), 0));
  const tooLarge = (reason: string): string =>
    `${graph.at('')}: there is no memory for this model (${reason}); make the batch or the input smaller.`;
  /** Plans the graph and lays out memory. A plan over 4 GiB fails on every CPU back end. */
  const lay = (threads: number, shared: boolean) => {
    try {
      const plan = planGraph(tiled, weights, engine, threads, lowerer);
      return { plan, image: layOutMemory(plan.parts, shared) };
    } catch (error) {
      throw error instanceof RangeError ? new ShapeError(tooLarge(error.message)) : error;
    }
  };
  /** Plans the graph, lays out memory and compiles the module. */
  const load = async (threads: number, shared: boolean) => {
    const { plan, image } = lay(threads, shared);
    const module = await WebAssembly.compile(image.module);
    signal?.throwIfAborted();
    return { ...plan, image, module, workerUrl, answerMilliseconds, signal };
  };
  type LoadedPlan = Awaited<ReturnType<typeof load>>;
  /** Loads a plan and starts its runner. A memory that cannot be allocated makes the back end unavailable. */
  const attempt = async (
    threads: number,
    shared: boolean,
    startRunner: (plan: LoadedPlan) => Runner | Promise<Runner>,
  ) => {
    const plan = await load(threads, shared);
    try {
      return { plan, runner: await startRunner(plan) };
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new BackendUnavailable(
        'wasm',
        tooLarge(`${(plan.image.pages * PAGE_BYTES) / 2 ** 20} MiB: ${error.message}`),
      );
    }
  };
  const onCallingThread = (reason?: string) =>
    attempt(1, false, (plan) => callingThreadRunner(plan, reason || undefined));
  const start = async () => {
    if (!workers) return onCallingThread(options.workers === false ? undefined : reasons.workers);
    try {
      return canShare
        ? await attempt(wanted, true, sharedMemoryRunner)
        : await attempt(1, false, (plan) => ownMemoryRunner(plan, reasons.sharing || undefined));
    } catch (error) {
      if (signal?.aborted || error instanceof BackendUnavailable || error instanceof ShapeError) throw error;
      // For instance, a content security policy forbids workers.
      const message = error instanceof Error ? error.message : String(error);
      return onCallingThread(
        `${prefix}a worker could not be started (${message}), so it runs on the calling thread.`,
      );
    }
  };
  const { plan, runner } = await start();
  if (signal?.aborted) {
    await runner.dispose();
    signal.throwIfAborted();
  }
  return wasmProgram(graph, weights, engine, plan, runner);
}
