/** What a run of many cases comes to. */

/** One case that went wrong. */
export interface Failure {
  readonly seed: number;
  readonly problem: string;
  /** The graph, as small as it goes on to fail; of the first failure. */
  readonly graph?: string;
}

/** All cases of a run. */
export interface Report {
  readonly seed: number;
  readonly cases: number;
  readonly failures: readonly Failure[];
  /** How often nothing was compared, by the reason. */
  readonly skipped: Readonly<Record<string, number>>;
  readonly seconds: number;
  /** What else is to be said: peers that are missing. */
  readonly notes: readonly string[];
}

/** How cases are run. */
export interface FuzzOptions {
  /** The first seed. */
  readonly seed: number;
  readonly cases: number;
  /** Ends after the present case. */
  readonly signal?: AbortSignal;
  readonly progress?: (line: string) => void;
}

/** What a case came to. */
export type Outcome = { readonly problem?: string; readonly graph?: string; readonly skipped?: string };

/** Runs one case after the other. */
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
