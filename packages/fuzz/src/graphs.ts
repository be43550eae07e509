/**
 * Compares many random graphs on all variants of the wasm back end, and optionally the reference with
 * PyTorch.
 */
import { printGraph } from '@cnn/core/graph';
import { check, type Variant } from './check.js';
import { checkPyTorch, PyTorch } from './pytorch.js';
import { forwardCase, randomCase } from './randomGraph.js';
import { type FuzzOptions, type Outcome, type Report, runCases } from './report.js';
import { shrink } from './shrink.js';
import { wasmVariants } from './variants.js';
import { Watchdog } from './watchdog.js';

/** Timeout of a case in milliseconds, including shrinking. */
const TIMEOUT_MS = 180_000;

/** Options of {@link fuzzGraphs}. */
export interface GraphOptions extends FuzzOptions {
  /** Path of a Python with PyTorch; if given, the reference is compared with PyTorch. */
  readonly python?: string;
  /** Variants compared with the reference, by seed. Default: all variants of wasm. */
  readonly variants?: (seed: number) => readonly Variant[];
}

/** Compares the graphs of all seeds; shrinks the first one that fails. */
export async function fuzzGraphs({
  python,
  variants = wasmVariants,
  ...options
}: GraphOptions): Promise<Report> {
  const notes: string[] = [];
  const pytorch = python === undefined ? undefined : await startPyTorch(python, notes);
  const watchdog = new Watchdog(TIMEOUT_MS);
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

/**
 * Kind of a problem, which a shrunk graph must keep. Problems with wrong values are all of one kind, since
 * shrinking changes the values and sometimes the variant.
 */
const kindOf = (problem: string | undefined): string | undefined =>
  problem?.includes(' differs in ') ? 'differs' : problem;

async function startPyTorch(python: string, notes: string[]): Promise<PyTorch | undefined> {
  try {
    return await PyTorch.start(python);
  } catch (error) {
    notes.push(
      `The reference is not compared with PyTorch: ${python} cannot import it: ${(error as Error).message}`,
    );
    return undefined;
  }
}
