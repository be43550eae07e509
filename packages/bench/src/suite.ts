/**
 * Defines a suite: contenders that run the same networks under the same conditions, tables of their results,
 * and targets.
 */
import type { Network } from './networks.js';

/**
 * Runtime of a contender: the current Node, a Node of a given major version, a browser, or a Python with
 * PyTorch.
 */
export type Runtime = 'node' | `node${number}` | 'chromium' | 'python';

/** A peer with its runtime and settings. */
export interface Contender {
  /** Name, unique within the suite; heads the contender's columns. */
  readonly name: string;
  readonly peer: string;
  readonly runtime: Runtime;
  /** For `@cnn` only: use 256-bit kernels. */
  readonly wideSimd?: boolean;
  /** Native peers only: limit to AVX2, whose vectors have 256 bits. Applies on machines with AVX-512. */
  readonly avx2?: boolean;
}

/** Quantity that a table shows; all come from one measurement. */
export type Metric = 'time' | 'throughput' | 'start' | 'memory' | 'firstResult' | 'compile' | 'kernels';

/** A table of a suite. */
export interface SuiteTable {
  readonly metric: Metric;
  /** Text above the table. */
  readonly about?: string;
  /** Names of the contenders shown; the others are compared with the first. Default: all. */
  readonly contenders?: readonly string[];
  /** Target ratios of @cnn to other contenders. */
  readonly targets?: readonly Target[];
  /** Target maxima of @cnn by network, in the metric's unit. */
  readonly limits?: Readonly<Record<string, number>>;
}

/**
 * Highest wanted ratio of @cnn to other contenders, by network. Contenders of one target have adjacent
 * columns.
 */
export interface Target {
  readonly contenders: readonly string[];
  readonly networks: Readonly<Record<string, number>>;
  readonly geometricMean?: number;
}

/** Contenders that run the same networks under the same conditions. */
export interface Suite {
  readonly id: string;
  readonly title: string;
  /** Text under the title in the document. */
  readonly about?: string;
  /**
   * `interleaved`: all contenders stay loaded and are timed in alternation. `cold starts`: each result comes
   * from a new process.
   */
  readonly kind: 'interleaved' | 'cold starts';
  readonly batch: number;
  /** Number of threads. Undefined: each peer's default. */
  readonly threads?: number;
  /** Contenders, @cnn first; the outputs of the others are compared with its output. */
  readonly contenders: readonly Contender[];
  readonly networks: readonly Network[];
  readonly tables: readonly SuiteTable[];
  /** Number of runs whose outputs are compared. Default 1. */
  readonly compared?: number;
  /** True if runs take seconds; then fewer are timed. */
  readonly slow?: boolean;
}
