/** What a back end is: something that turns a graph and weights into a program, which runs and says what it runs on. */
import type { Graph } from '../graph/graph.js';
import type { Tensor, Weights } from '../tensor/tensor.js';

/** How a back end compiles. */
export interface CompileOptions {
  /** Threads to use. Default: what the machine has, as the back end sees fit. */
  readonly threads?: number;
  /** Stops compiling; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** One step of a program as it was measured. */
export interface ProfileStep {
  /** Path of the module. */
  readonly path: string;
  /** The op, fused parts included: `conv2d + relu`. */
  readonly op: string;
  /** How the back end computes it: `gemm 6x16`, `winograd 4x4`, `reference`. */
  readonly algorithm: string;
  readonly milliseconds: number;
  /** What the back end expected it to take on two cores, in milliseconds, where it chose by that. */
  readonly expected?: number;
  readonly flops: number;
}

/** What a run took, step by step. */
export interface Profile {
  readonly backend: string;
  readonly threads: number;
  /** Whatever else explains the speed: `256-bit SIMD`, `software adapter`. */
  readonly notes: readonly string[];
  readonly steps: readonly ProfileStep[];
}

/** A compiled graph. Runs one call at a time; a session queues them. */
export interface Program {
  /** What really runs: `'reference'`, `'wasm'`, `'gpu:webgpu'`, `'gpu:webgl2'`. */
  readonly backend: string;
  readonly threads: number;
  /** Bytes held for weights and values. */
  readonly memory: number;
  /** Why the program runs on less than was asked for; undefined when it does not. */
  readonly fallbackReason?: string;
  /**
   * Runs once. `feeds` holds a value for every input of the graph; the result one for every output.
   * The graph's updates are taken on when the run is complete, and not at all when it is aborted.
   */
  run(feeds: ReadonlyMap<string, Tensor>, signal?: AbortSignal): Promise<ReadonlyMap<string, Tensor>>;
  /**
   * The present values of the parameters: those compiled in, with all updates since. A program without
   * updates may give none, so that it need not keep its weights a second time.
   */
  parameters(): Promise<Weights>;
  /** Times one run on the given feeds, step by step. Updates are taken on as in any run. */
  profile(feeds: ReadonlyMap<string, Tensor>): Promise<Profile>;
  /** Gives back everything; the program cannot run any more. */
  dispose(): Promise<void>;
}

/** A way to run graphs. */
export interface Backend {
  readonly name: string;
  /**
   * Compiles a graph. The graph must be legal (see `verify`) and the weights complete.
   * @throws BackendUnavailable when the back end cannot run here.
   */
  compile(graph: Graph, weights: Weights, options?: CompileOptions): Promise<Program>;
}
