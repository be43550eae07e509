/** What a suite is: contenders that run the same networks under the same conditions, tables of what came out, and targets. */
import type { Network } from './networks.js';

/** Where a contender runs: a Node of that major version, this process's own, a browser, or a Python with PyTorch. */
export type Runtime = 'node' | `node${number}` | 'chromium' | 'python';

/** A peer under certain conditions. */
export interface Contender {
  /** Unique within the suite, and the title of its columns. */
  readonly name: string;
  readonly peer: string;
  readonly runtime: Runtime;
  /** Ours: with 256-bit kernels. */
  readonly wide?: boolean;
  /** Native peers: held to AVX2, which has vectors of 256 bits. For machines with AVX-512. */
  readonly avx2?: boolean;
}

/** What is told of a contender; all come from one measurement. */
export type Metric = 'time' | 'throughput' | 'start' | 'memory' | 'firstResult' | 'compile' | 'kernels';

/** A table of a suite. */
export interface SuiteTable {
  readonly metric: Metric;
  /** Said above the table. */
  readonly about?: string;
  /** Names of those that are shown; the first is the one that the others are compared with. Default: all. */
  readonly contenders?: readonly string[];
  /** What is wanted of ours, compared with others. */
  readonly targets?: readonly Target[];
  /** The most that is wanted of ours, in the metric's unit, by network. */
  readonly limits?: Readonly<Record<string, number>>;
}

/** Ours over that of other contenders, at most; they stand side by side in the table. */
export interface Target {
  readonly contenders: readonly string[];
  readonly networks: Readonly<Record<string, number>>;
  readonly geometricMean?: number;
}

/** Contenders under the same conditions, on the same networks. */
export interface Suite {
  readonly id: string;
  readonly title: string;
  /** Said under the title in the document. */
  readonly about?: string;
  /** Turns: all run side by side, and take turns. Starts: each is started anew for each result. */
  readonly kind: 'turns' | 'starts';
  readonly batch: number;
  /** Undefined: as many as each peer takes by itself. */
  readonly threads?: number;
  /** The first one is ours; the outputs of the others are compared with its. */
  readonly contenders: readonly Contender[];
  readonly networks: readonly Network[];
  readonly tables: readonly SuiteTable[];
  /** How many runs give the output that is compared. Default 1. */
  readonly compared?: number;
  /** Runs take seconds: fewer of them are measured. */
  readonly slow?: boolean;
}
