/**
 * The wasm back end: the CPU path. Kernels are generated for the exact shapes of a graph, the whole plan
 * runs on every thread over one shared memory, and values are stored pixel by pixel (NHWC) in one arena.
 */
import { BackendUnavailable } from '../../errors.js';
import type { Graph } from '../../graph/graph.js';
import { builtin } from '../../platform.js';
import type { Weights } from '../../tensor/tensor.js';
import type { Backend, CompileOptions, Program } from '../backend.js';
import { detectFeatures, type Engine, engineFor } from './codegen/engine.js';
import { lowererFor } from './ops/index.js';
import { planGraph } from './planGraph.js';
import { wasmProgram } from './program.js';
import { callingThreadRunner } from './runtime/callingThread.js';
import { layOut } from './runtime/memoryImage.js';
import { ownMemoryRunner } from './runtime/ownMemory.js';
import type { Runner } from './runtime/runner.js';
import { sharedMemoryRunner } from './runtime/sharedMemory.js';
import { hasWorkers } from './runtime/workerHandle.js';
import { inTurns } from './schedule/batchTile.js';
import { wideSimdEnabled } from './wideSimd.js';

/** Options of {@link wasmBackend}; all of them are found out by default. */
export interface WasmOptions {
  /** Whether to use workers. Default: where they can be started. */
  readonly workers?: boolean;
  /** Whether to share memory between threads. Default: where it can be shared. */
  readonly sharedMemory?: boolean;
  /**
   * Where a browser finds the program of the workers, `@cnn/core/worker.js` of this version: for pages whose
   * content security policy does not let them start workers from a text (`worker-src` without `blob:`).
   */
  readonly workerUrl?: string | URL;
  /** How kernels are generated. Default: as suits the engine at hand. */
  readonly engine?: Engine;
}

/** The most threads that are taken without being asked for: more do not pay on networks of this size. */
const MOST_THREADS = 16;

/** A module of nothing, to find out whether any may be compiled. */
const EMPTY_MODULE = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);

/** The wasm back end. */
export const wasmBackend = (options: WasmOptions = {}): Backend => ({
  name: 'wasm',
  compile: (graph, weights, compileOptions) => compileWasm(graph, weights, options, compileOptions),
});

function cores(): number {
  const os = builtin<typeof import('node:os')>('node:os');
  if (os) return os.availableParallelism();
  return typeof navigator === 'undefined' ? 1 : (navigator.hardwareConcurrency ?? 1);
}

async function compileWasm(
  graph: Graph,
  weights: Weights,
  options: WasmOptions,
  { threads: asked, signal }: CompileOptions = {},
): Promise<Program> {
  signal?.throwIfAborted();
  const features = detectFeatures();
  if (!features.simd)
    throw new BackendUnavailable(
      'wasm',
      'This engine has no WebAssembly with SIMD; use the reference back end.',
    );
  await WebAssembly.compile(EMPTY_MODULE).catch((error: Error) => {
    throw new BackendUnavailable(
      'wasm',
      `WebAssembly is not compiled here (${error.message}); a content security policy has to allow 'wasm-unsafe-eval'.`,
    );
  });
  const engine = options.engine ?? engineFor(features, wideSimdEnabled());
  const workers = (options.workers ?? true) && hasWorkers();
  const { workerUrl } = options;
  const canShare = workers && (options.sharedMemory ?? true) && features.threads;
  const wanted = Math.max(1, Math.floor(asked ?? Math.min(cores(), MOST_THREADS)));
  const alone = wanted > 1 ? `It runs on 1 thread, not ${wanted}: ` : '';
  const reasons = {
    workers: `${alone}there are no workers here, so it runs on the calling thread.`,
    sharing:
      alone &&
      `${alone}memory cannot be shared between threads here; a page has to be cross-origin isolated for that.`,
  };

  const lower = await lowererFor(graph);
  const ordered = inTurns(graph);
  const load = async (threads: number, shared: boolean) => {
    const planned = planGraph(ordered, weights, engine, threads, lower);
    const image = layOut(planned.planner, shared);
    const module = await WebAssembly.compile(image.module);
    signal?.throwIfAborted();
    return { ...planned, image, module, workerUrl, signal };
  };
  type Plan = Awaited<ReturnType<typeof load>>;
  const attempt = async (
    threads: number,
    shared: boolean,
    make: (plan: Plan) => Runner | Promise<Runner>,
  ) => {
    const plan = await load(threads, shared);
    try {
      return { plan, runner: await make(plan) };
    } catch (error) {
      if (error instanceof RangeError)
        throw new BackendUnavailable(
          'wasm',
          `${graph.at('')}: there is no memory of ${plan.image.pages / 16} MiB for this model (${error.message}).`,
        );
      throw error;
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
      if (signal?.aborted || error instanceof BackendUnavailable) throw error;
      // A content security policy, for instance, keeps a worker from starting.
      const message = error instanceof Error ? error.message : String(error);
      return onCallingThread(
        `${alone}a worker could not be started (${message}), so it runs on the calling thread.`,
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
