/** Messages between the benchmark and the measured programs. Each program runs one peer on one job. */
import type { Shape } from '@cnn/core';

/** Job of a measured program. */
export interface Job {
  /** Published name of the network. */
  readonly network: string;
  readonly input: Shape;
  /** Location of the network's files, with a trailing slash: a folder in Node, a URL in a browser. */
  readonly files: string;
  /** Number of threads. Default: the peer's own default. */
  readonly threads?: number;
  /** Number of runs whose outputs are compared; training steps are compared by several losses. Default 1. */
  readonly compared?: number;
  /** For `@cnn` only: use 256-bit kernels if the engine supports them. */
  readonly wideSimd?: boolean;
}

/** Report of a program after its first run. */
export interface Started {
  /** Output values, compared with those of the other contenders. */
  readonly output: readonly number[];
  readonly threads: number;
  readonly notes: readonly string[];
  /** Time of the first result, in milliseconds since 1970. */
  readonly time: number;
  /** Milliseconds from the start of loading to the first result: reading, compiling and the first run. */
  readonly firstResult: number;
  /**
   * The part of `firstResult` after the model and its weights were in memory; undefined if the peer does not
   * separate them.
   */
  readonly compile?: number;
  /** GPU kernels compiled so far. */
  readonly kernels: number;
  /** Peak memory of the process so far, in MB; 0 if the platform does not report it. */
  readonly peakMemory: number;
}

/** Requests a block of runs: warm-up runs that are not reported, then timed runs. */
export interface BlockRequest {
  readonly warmUp: Effort;
  readonly timed: Effort;
}

/** Minimum duration and minimum number of runs; runs repeat until both are reached. */
export interface Effort {
  readonly milliseconds: number;
  readonly runs: number;
}

/** A program's reply: a value or an error. */
export type Answer<T> = { readonly value: T } | { readonly error: string; readonly unsupported: boolean };
