/** The interface between the benchmark and the libraries that it measures: a peer loads a job and runs it. */
import type { Shape } from '@cnn/core';
import { formatShape } from '@cnn/core/graph';
import type { Job } from './messages.js';

/** File names of a network for one input shape; the weights are the same for all shapes. */
export const fileNames = (input: Shape) => ({
  input: `${formatShape(input)}.f32`,
  weights: 'weights.safetensors',
  onnx: `${formatShape(input)}.onnx`,
  tfjs: `${formatShape(input)}.tfjs.json`,
  tfjsWeights: 'tfjs.f32',
});

/** A loaded job, ready for any number of runs. */
export interface Workload {
  /**
   * Runs once: reads the input from a float array and returns the output values; a training step returns its
   * loss.
   */
  run(): Promise<Float32Array>;
  /** Threads in use; 0 if the library does not report them. */
  readonly threads: number;
  /** Further facts that explain the speed, such as the back end in use. */
  readonly notes: readonly string[];
  /**
   * Time (`performance.now()`) at which the model and its weights were in memory and compilation began.
   * Undefined if the library reads and compiles in one step.
   */
  readonly inMemory?: number;
}

/** A library that can run a job. */
export interface Peer {
  /** @throws Unsupported if the library cannot run the network. */
  load(job: Job, read: ReadFile): Promise<Workload>;
}

/** Reads one whole file of the job. */
export type ReadFile = (name: string) => Promise<ArrayBuffer>;

/** Thrown if a library lacks a feature that the network needs. */
export class Unsupported extends Error {
  override readonly name = 'Unsupported';
}
