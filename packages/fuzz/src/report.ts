/** Runs many cases and collects the results. */

/** A case that failed. */
export interface Failure {
  readonly seed: number;
  readonly problem: string;
  /** Shrunk graph; only for the first failure. */
  readonly graph?: string;
}

/** Results of a run. */
export interface Report {
  readonly seed: number;
  readonly cases: number;
  readonly failures: readonly Failure[];
  /** Number of cases in which nothing was compared, by reason. */
  readonly skipped: Readonly<Record<string, number>>;
  readonly seconds: number;
  /** Further messages, such as a missing PyTorch. */
  readonly notes: readonly string[];
  /** Numbers of files by format; only for files. */
  readonly formats?: Readonly<Record<string, FormatCounts>>;
}

/** Numbers of files of a format. */
export interface FormatCounts {
  readonly files: number;
  /** Files that got beyond the format's signature. */
  readonly beyond: number;
  /** Files that gave a result. */
  readonly read: number;
  readonly failed: number;
}

/** Options of {@link runCases}. */
export interface FuzzOptions {
  /** Seed of the first case. */
  readonly seed: number;
  readonly cases: number;
  /** Ends the run after the current case. */
  readonly signal?: AbortSignal;
  readonly progress?: (line: string) => void;
}

/** Result of a case. */
export type Outcome = { readonly problem?: string; readonly graph?: string; readonly skipped?: string };

/** Runs the cases one after another. @param one - runs the case of a seed. */
export async function runCases(
  { seed, cases, signal, progress }: FuzzOptions,
  one: (seed: number, isFirstFailure: boolean) => Promise<Outcome>,
  notes: readonly string[] = [],
): Promise<Report> {
  const started = performance.now();
  const failures: Failure[] = [];
  const skipped: Record<string, number> = {};
  let done = 0;
  for (; done < cases && !signal?.aborted; done++) {
    progress?.(`${done} of ${cases}, ${failures.length} failed, seed ${seed + done}`);
    const outcome = await one(seed + done, failures.length === 0);
    if (outcome.problem !== undefined)
      failures.push({
        seed: seed + done,
        problem: outcome.problem,
        ...(outcome.graph === undefined ? {} : { graph: outcome.graph }),
      });
    if (outcome.skipped !== undefined) skipped[outcome.skipped] = (skipped[outcome.skipped] ?? 0) + 1;
  }
  return { seed, cases: done, failures, skipped, seconds: (performance.now() - started) / 1000, notes };
}
