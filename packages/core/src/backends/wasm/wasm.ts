/**
 * The wasm back end: the CPU path. Kernels are generated for the exact shapes of a graph, the whole plan
 * runs on every thread over one shared memory, and values are stored pixel by pixel (NHWC) in one arena.
 */
import { BackendUnavailable } from '../../errors.js';
import { type Graph, isParameter, type Node, parametersOf } from '../../graph/graph.js';
import { type Shape, sizeOf } from '../../tensor/shape.js';
import type { Tensor, Weights } from '../../tensor/tensor.js';
import type { Backend, CompileOptions, ProfileStep, Program } from '../backend.js';
import { describe, flopsOf } from '../describe.js';
import { detectFeatures, type Engine, engineFor } from './engine.js';
import { FLOAT } from './kernels/kernel.js';
import { type Lowerer, lowererFor } from './lower/index.js';
import { copiesPhase, copyLoops, copyPhase } from './lower/lowering.js';
import { layOut } from './plan/image.js';
import type { Pointer } from './plan/memory.js';
import { Planner } from './plan/planner.js';
import { type Dense, isDense, stridesOf } from './plan/value.js';
import { callingThreadRunner } from './runtime/callingThread.js';
import { ownMemoryRunner } from './runtime/ownMemory.js';
import type { Runner } from './runtime/runner.js';
import { sharedMemoryRunner } from './runtime/sharedMemory.js';
import { hasWorkers, nodeModule } from './runtime/worker.js';
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

const GONE = 'This program has been disposed of; compile the model again.';

/** The wasm back end. */
export const wasmBackend = (options: WasmOptions = {}): Backend => ({
  name: 'wasm',
  compile: (graph, weights, compileOptions) => compileWasm(graph, weights, options, compileOptions),
});

function cores(): number {
  const os = nodeModule<typeof import('node:os')>('node:os');
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
  const load = async (threads: number, shared: boolean) => {
    const planned = planGraph(graph, weights, engine, threads, lower);
    const image = layOut(planned.planner, shared);
    const module = await WebAssembly.compile(image.module);
    signal?.throwIfAborted();
    return { ...planned, image, module, workerUrl };
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

/** The path of the module that all of these are in. */
function commonPath([first = '', ...others]: readonly string[]): string {
  const names = first.split('.');
  const shared = names.findIndex((name, depth) => others.some((path) => path.split('.')[depth] !== name));
  return names.slice(0, shared < 0 ? names.length : shared).join('.');
}

/** Plans all phases, those that bring outputs into the host's order included. */
function planGraph(graph: Graph, weights: Weights, engine: Engine, threads: number, lower: Lowerer) {
  const planner = new Planner(graph, weights, engine, threads);
  planner.plan((node) => lower.node(planner, node));
  const outputs = new Map<string, { readonly node: Node; readonly value: Dense }>();
  for (const [name, node] of graph.outputs) {
    const value = planner.value(node);
    const { shape } = node;
    if (isDense(value, shape)) outputs.set(name, { node, value: { kind: 'dense', at: value.at, shape } });
    else {
      const dense: Dense = { kind: 'dense', at: planner.exchange.reserve(sizeOf(shape) * FLOAT), shape };
      planner.algorithm('copy');
      planner.at(node);
      copyPhase(planner, shape, value, dense);
      outputs.set(name, { node, value: dense });
    }
  }
  const state = planUpdates(graph, planner, lower);
  return { planner, outputs, state };
}

/**
 * Adds the phases that take on updates, all at once: steps of optimizers are computed there, other new values
 * lie in places of their own. Only a parameter that becomes another's value is put aside first, as it may
 * change itself.
 */
function planUpdates(
  graph: Graph,
  planner: Planner,
  lower: Lowerer,
): ReadonlyMap<string, { readonly at: Pointer; readonly shape: Shape }> {
  const parameters = parametersOf(graph);
  const chained = new Set(planner.chains.flatMap(({ updates }) => updates.map(([name]) => name)));
  const copied = [...graph.updates].filter(([name]) => !chained.has(name));
  const updates = copied.map(([name, node]) => {
    const { shape } = node;
    let from = planner.value(node);
    if (isParameter(node)) {
      const aside: Dense = { kind: 'dense', at: planner.exchange.reserve(sizeOf(shape) * FLOAT), shape };
      planner.at(node);
      planner.algorithm('copy');
      copyPhase(planner, shape, from, aside);
      from = aside;
    }
    return { name, shape, from, to: planner.value(parameters.get(name)!) };
  });
  planner.computing = planner.phases.length;
  if (updates.length > 0)
    copiesPhase(
      planner,
      updates.map(({ shape, from, to }) => ({
        from: from.at,
        to: to.at,
        loops: copyLoops(shape, stridesOf(from, shape), stridesOf(to, shape)),
      })),
    );
  if (planner.chains.length > 0) lower.updates(planner);
  return new Map(
    [...graph.updates.keys()].map((name) => {
      const parameter = parameters.get(name)!;
      return [name, { at: planner.value(parameter).at, shape: parameter.shape }];
    }),
  );
}

function wasmProgram(
  graph: Graph,
  weights: Weights,
  engine: Engine,
  {
    image,
    outputs,
    planner,
    state,
  }: ReturnType<typeof planGraph> & { readonly image: ReturnType<typeof layOut> },
  runner: Runner,
): Program {
  let disposed = false;
  // What stays alive with the program: not the planner and the image, which know how to fill memory with
  // weights, and the weights themselves only if some of them change and the rest is asked for beside them.
  const { pages, phases, computing } = image;
  const { groups, expected } = planner;
  const kept = graph.updates.size > 0 ? weights : undefined;
  const inputs = new Map([...planner.inputs].map(([name, { at }]) => [name, at.address]));
  const fetches = [...outputs.values()].map(({ node, value }) => ({
    at: value.at.address,
    floats: sizeOf(node.shape),
  }));
  const feedsOf = (feeds: ReadonlyMap<string, Tensor>) => {
    if (disposed) throw new Error(GONE);
    return [...inputs].map(([name, at]) => {
      const fed = feeds.get(name);
      if (!fed) throw new Error(`${graph.at('')}: the run lacks the input '${name}'.`);
      return { at, data: fed.data };
    });
  };
  return {
    backend: 'wasm',
    threads: runner.threads,
    fallbackReason: runner.fallbackReason,
    get memory() {
      return disposed ? 0 : pages * 65536;
    },
    async run(feeds, signal) {
      signal?.throwIfAborted();
      const values = await runner.run(feedsOf(feeds), fetches, signal);
      return new Map(
        [...outputs].map(([name, { node }], index) => [name, { shape: node.shape, data: values[index]! }]),
      );
    },
    async parameters() {
      if (disposed) throw new Error(GONE);
      if (!kept) return new Map();
      const unchanged = [...parametersOf(graph).keys()].map((name) => [name, kept.get(name)!] as const);
      const values = await runner.read(
        [...state.values()].map(({ at, shape }) => ({ at: at.address, floats: sizeOf(shape) })),
      );
      const changed = [...state].map(([name, { shape }], i) => [name, { shape, data: values[i]! }] as const);
      return new Map([...unchanged, ...changed]);
    },
    async profile(feeds) {
      const times = await runner.profile(feedsOf(feeds));
      const steps = new Map<Node, ProfileStep>();
      for (const [index, { node, algorithm }] of phases.slice(0, computing).entries()) {
        const together = groups.get(node)?.nodes ?? [node];
        const known = steps.get(node);
        const seconds = expected.get(node);
        steps.set(node, {
          path: commonPath(together.map(({ path }) => path)),
          op: together.map(describe).join(', '),
          // An output's copy into the host's order belongs to its node, but is not how that is computed.
          algorithm: known && algorithm === 'copy' ? known.algorithm : algorithm,
          milliseconds: (known?.milliseconds ?? 0) + times[index]!,
          ...(seconds === undefined ? {} : { expected: seconds * 1000 }),
          flops: together.reduce((sum, member) => sum + flopsOf(member), 0),
        });
      }
      return {
        backend: 'wasm',
        threads: runner.threads,
        notes: [engine.wide ? '256-bit SIMD' : '128-bit SIMD', ...(engine.fma ? ['FMA'] : [])],
        steps: [...steps.values()],
      };
    },
    async dispose() {
      if (disposed) return;
      disposed = true;
      await runner.dispose();
    },
  };
}
