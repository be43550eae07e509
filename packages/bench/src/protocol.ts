/** What the command and the programs that it measures say to each other; one process runs one peer on one job. */
import { formatShape, type Shape } from '@cnn/core';

/** What a program is to run. */
export interface Job {
  /** The network's published name. */
  readonly network: string;
  readonly input: Shape;
  /** Where the files of the network are, with a slash at the end: a folder in Node, a URL in a browser. */
  readonly files: string;
  /** Threads to use. Default: what the peer takes by itself. */
  readonly threads?: number;
  /** How many runs the output that is compared comes from: a training step is judged by the losses of several. Default 1. */
  readonly compared?: number;
  /** Ours only: 256-bit kernels, where the engine has them. */
  readonly wide?: boolean;
}

/** The files of a network for one input shape; weights are the same for all shapes. */
export const fileNames = (input: Shape) => ({
  input: `${formatShape(input)}.f32`,
  weights: 'weights.safetensors',
  onnx: `${formatShape(input)}.onnx`,
  tfjs: `${formatShape(input)}.tfjs.json`,
  tfjsWeights: 'tfjs.f32',
});

/** A job that is ready to be run again and again. */
export interface Workload {
  /** Runs once, from the input as numbers to the output as numbers; a training step gives its loss. */
  run(): Promise<Float32Array>;
  /** Threads in use; 0 where the peer does not tell. */
  readonly threads: number;
  /** Whatever else explains the speed. */
  readonly notes: readonly string[];
  /**
   * When the model and its weights were in memory and compiling began, as `performance.now()` tells it; missing
   * where the peer reads and compiles at once.
   */
  readonly inMemory?: number;
}

/** A library that can run a job. */
export interface Peer {
  /** @throws Unsupported for a network that the library cannot run. */
  load(job: Job, read: ReadFile): Promise<Workload>;
}

/** Reads one of the job's files, whole. */
export type ReadFile = (name: string) => Promise<ArrayBuffer>;

/** The library lacks something that the network needs. */
export class Unsupported extends Error {
  override readonly name = 'Unsupported';
}

/** What a program says of its first run. */
export interface Started {
  /** The result, to be compared. */
  readonly output: readonly number[];
  readonly threads: number;
  readonly notes: readonly string[];
  /** When the result was there, in milliseconds since 1970. */
  readonly time: number;
  /** From the beginning of loading to the result, in ms: files, compiling and the first run. */
  readonly firstResult: number;
  /** The part of it after the model and its weights were in memory; missing where the peer does not part them. */
  readonly compile?: number;
  /** Kernels that were compiled for a GPU so far. */
  readonly kernels: number;
  /** Most memory that the process has held so far, in MB; 0 where it cannot be asked for. */
  readonly peakMemory: number;
}

/** A request for runs: warm-up runs that are not reported, then timed ones, both for a time and a number at least. */
export interface BlockRequest {
  readonly warmUp: Effort;
  readonly timed: Effort;
}

/** How long to go on: until both are reached. */
export interface Effort {
  readonly milliseconds: number;
  readonly runs: number;
}

/** What a program answers. */
export type Answer<T> = { readonly value: T } | { readonly error: string; readonly unsupported: boolean };
