/** The interface of back ends: they compile a graph and weights to a program. */
import type { Graph } from '../graph/graph.js';
import type { Tensor, Weights } from '../tensor/tensor.js';

/** Options of {@link Backend.compile}. */
export interface CompileOptions {
  /** Number of threads. Default: the back end's choice, from the number of cores. */
  readonly threads?: number;
  /** Aborts the compilation; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** One measured step of a program. */
export interface ProfileStep {
  /** Path of the module. */
  readonly path: string;
  /** The op with those fused into it: `conv2d + relu`. */
  readonly op: string;
  /** Algorithm of the kernel: `gemm 6x16`, `winograd 4x4`, `reference`. */
  readonly algorithm: string;
  /** Measured time. */
  readonly milliseconds: number;
  /** Time on two cores predicted by the cost model, in milliseconds, if it chose the algorithm. */
  readonly expected?: number;
  /** Floating-point operations of the step. */
  readonly flops: number;
}

/** Times of the steps of one run. */
export interface Profile {
  readonly backend: string;
  readonly threads: number;
  /** Other facts that determine the speed: `256-bit SIMD`, `software adapter`. */
  readonly notes: readonly string[];
  readonly steps: readonly ProfileStep[];
}

/** A compiled graph. Runs one call at a time; a session queues them. */
export interface Program {
  /** The back end in use: `'reference'`, `'wasm'`, `'gpu:webgpu'` or `'gpu:webgl2'`. */
  readonly backend: string;
  /** Number of threads in use. */
  readonly threads: number;
  /** Memory for weights and values, in bytes. */
  readonly memory: number;
  /** Reason for fewer threads or another mode than requested; undefined if there was no fallback. */
  readonly fallbackReason?: string;
  /**
   * Runs once, and applies the graph's updates at the end; an aborted run applies none.
   * @param feeds - a tensor for every input of the graph; not copied, so do not modify them during the run.
   * @returns a tensor for every output of the graph, in new arrays.
   */
  run(feeds: ReadonlyMap<string, Tensor>, signal?: AbortSignal): Promise<ReadonlyMap<string, Tensor>>;
  /**
   * Reads the current values of the parameters: the compiled weights with all updates since. A program
   * without updates may give none, so that it does not need a second copy of its weights.
   */
  parameters(): Promise<Weights>;
  /** Measures the time of each step of one run, which applies updates like any run. */
  profile(feeds: ReadonlyMap<string, Tensor>): Promise<Profile>;
  /** Releases all memory, threads and devices; the program cannot run afterwards. */
  dispose(): Promise<void>;
}

/** A back end. */
export interface Backend {
  readonly name: string;
  /**
   * Compiles a graph, which must be legal (see `verify`). Lazy weights are read while they are packed.
   * @param weights - a tensor for every parameter of the graph.
   * @throws BackendUnavailable if the back end cannot run here.
   */
  compile(graph: Graph, weights: Weights, options?: CompileOptions): Promise<Program>;
}
