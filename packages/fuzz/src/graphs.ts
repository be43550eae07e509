/** Many random graphs: each compared on all variants of the wasm back end, and with PyTorch where that is asked for. */
import { printGraph } from '@cnn/core';
import { check, type Variant } from './check.js';
import { checkPyTorch, PyTorch } from './pytorch.js';
import { forwardCase, randomCase } from './randomGraph.js';
import { type FuzzOptions, type Outcome, type Report, runCases } from './report.js';
import { shrink } from './shrink.js';
import { wasmVariants } from './variants.js';
import { Watchdog } from './watchdog.js';

/** Longest time for a case in milliseconds, shrinking it included. */
const PATIENCE = 180_000;

/** How graphs are compared. */
export interface GraphOptions extends FuzzOptions {
  /** A Python with PyTorch, for comparing the reference with it. */
  readonly python?: string;
  /** What is compared with the reference. Default: all variants of wasm. */
  readonly variants?: (seed: number) => readonly Variant[];
}

/** Compares the graphs of all seeds. */
export async function fuzzGraphs({
  python,
  variants = wasmVariants,
  ...options
}: GraphOptions): Promise<Report> {
  const notes: string[] = [];
  const pytorch = python === undefined ? undefined : await startPyTorch(python, notes);
  const watchdog = new Watchdog(PATIENCE);
  const one = async (seed: number, isFirstFailure: boolean): Promise<Outcome> => {
    watchdog.beat(seed);
    const subject = randomCase(seed);
    const finding = await check(subject, variants(seed), seed);
    if (finding.problem !== undefined && isFirstFailure) {
      options.progress?.(`seed ${seed}: ${finding.problem} Looking for a smaller graph.`);
      const [first, ...others] = variants(seed);
      const few = [first!, ...others.filter(({ name }) => name === finding.variant?.name)];
      const fails = async (smaller: typeof subject): Promise<boolean> =>
        kindOf((await check(smaller, few, seed)).problem) === kindOf(finding.problem);
      const { graph } = await shrink(subject, fails, options.signal);
      return { problem: finding.problem, graph: printGraph(graph) };
    }
    if (finding.problem !== undefined || !pytorch) return finding;
    return checkPyTorch(pytorch, forwardCase(seed), seed);
  };
  try {
    return await runCases(options, one, notes);
  } finally {
    watchdog.stop();
    await pytorch?.stop();
  }
}

/** What a smaller graph must have in common: other values are wrong there, and at times another variant shows it. */
const kindOf = (problem: string | undefined): string | undefined =>
  problem?.includes(' differs in ') ? 'differs' : problem;

async function startPyTorch(python: string, notes: string[]): Promise<PyTorch | undefined> {
  try {
    return await PyTorch.start(python);
  } catch (error) {
    notes.push(
      `Nothing is compared with PyTorch, as ${python} does not have it: ${(error as Error).message}`,
    );
    return undefined;
  }
}
