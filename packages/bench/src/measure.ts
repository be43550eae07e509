/**
 * Measures the contenders of a suite on one network: starts all, compares their outputs, then times them
 * interleaved.
 */
import type { Effort, Started } from './messages.js';
import { PeerFailure, type RunningProgram } from './runningProgram.js';
import type { Contender, Suite } from './suite.js';

/** Starts a contender on the current network. `spawned`: start of its process, in milliseconds since 1970. */
export type Start = (contender: Contender) => Promise<RunningProgram & { readonly spawned?: number }>;

/** Result of a contender: `failure`, or the other fields. Times are per run, in ms. */
export interface Result {
  readonly failure?: string;
  readonly median?: number;
  readonly minimum?: number;
  readonly runs?: number;
  /** Undefined if the peer does not report it. */
  readonly threads?: number;
  readonly notes?: string;
  /** Largest absolute difference between an output value and the first contender's. */
  readonly deviation?: number;
  /** Largest absolute output value. */
  readonly magnitude?: number;
  /** Median over the starts of the process's peak memory up to its first result, in MB. */
  readonly memory?: number;
  /** Time from the start of loading to the first result, in ms; measured once. */
  readonly firstResult?: number;
  /** The part of `firstResult` after the model and its weights were in memory. */
  readonly compile?: number;
  /** GPU kernels compiled up to the first result. */
  readonly kernels?: number;
}

/** Results by contender name. */
export type Row = Readonly<Record<string, Result>>;

/** Durations of a measurement. */
export interface Schedule {
  readonly rounds: number;
  /** Warm-up of each contender before the first round. */
  readonly warmUp: Effort;
  /** Warm-up before each block, since cores and threads go to sleep while other contenders run. */
  readonly blockWarmUp: Effort;
  /** Timed runs of a contender in one round. */
  readonly block: Effort;
}

/** The schedule of docs/benchmarks.md. @param slow - for runs that take seconds: fewer of them. */
export const schedule = (rounds: number, slow = false): Schedule => ({
  rounds,
  warmUp: { milliseconds: 600, runs: slow ? 1 : 3 },
  blockWarmUp: { milliseconds: slow ? 0 : 20, runs: slow ? 0 : 1 },
  block: { milliseconds: 200, runs: slow ? 1 : 2 },
});

/** Largest accepted deviation, as a share of the largest output; beyond it the outputs are wrong. */
const TOLERANCE = 1e-3;

/** Pause before each block, in ms: the threads of the previous peer may keep spinning this long. */
const PAUSE = 40;

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, PAUSE));

/** Order of the contenders in a round: forwards in even rounds, backwards in odd ones. */
const orderOf = <T>(items: readonly T[], round: number): readonly T[] =>
  round % 2 === 0 ? items : items.toReversed();

/** Returns the median. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Returns a function that compares each output with the first one it received, which is @cnn's. */
function comparison(): (output: readonly number[]) => Pick<Result, 'deviation' | 'magnitude'> {
  let expected: readonly number[] | undefined;
  return (output) => {
    if (!output.every(Number.isFinite)) throw new PeerFailure('the output is not finite');
    const magnitude = output.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    if (!expected) {
      expected = output;
      return { magnitude: rounded(magnitude) };
    }
    if (output.length !== expected.length)
      throw new PeerFailure(`the output has ${output.length} values instead of ${expected.length}`);
    const other = expected;
    const deviation = output.reduce((most, value, i) => Math.max(most, Math.abs(value - other[i]!)), 0);
    if (deviation > TOLERANCE * magnitude)
      throw new PeerFailure(
        `the output differs by ${deviation.toPrecision(2)}; its largest value is ${magnitude.toPrecision(2)}`,
      );
    return { deviation: rounded(deviation), magnitude: rounded(magnitude) };
  };
}

/** Rounds to four digits, which exceeds the precision of the times. */
const rounded = (value: number): number => Number(value.toPrecision(4));

/** The facts that a program reported, without empty ones. */
const reported = ({ threads, notes, firstResult, compile, kernels }: Started): Result => ({
  ...(threads ? { threads } : {}),
  ...(notes.length > 0 ? { notes: notes.join(' ') } : {}),
  firstResult: rounded(firstResult),
  ...(compile ? { compile: rounded(compile) } : {}),
  ...(kernels ? { kernels } : {}),
});

/** Runs `work` for each contender that has not failed. A PeerFailure becomes the contender's result. */
async function eachContender(
  contenders: readonly Contender[],
  results: Map<string, Result>,
  work: (contender: Contender) => Promise<void>,
): Promise<void> {
  for (const contender of contenders) {
    if (results.get(contender.name)?.failure) continue;
    try {
      await work(contender);
    } catch (error) {
      if (!(error instanceof PeerFailure)) throw error;
      results.set(contender.name, { failure: error.message });
    }
  }
}

/** Measures one network. @param onStep - receives a description of each step before it begins. */
export async function measure(
  { kind, contenders }: Suite,
  start: Start,
  schedule: Schedule,
  onStep: (what: string) => void,
): Promise<Row> {
  const results = new Map<string, Result>();
  const compare = comparison();
  const times = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  if (kind === 'cold starts') {
    const memories = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
    for (let round = 0; round < schedule.rounds; round++)
      await eachContender(orderOf(contenders, round), results, async (contender) => {
        onStep(`${contender.name}, start ${round + 1} of ${schedule.rounds}`);
        const { started, spawned, end } = await start(contender);
        try {
          times.get(contender.name)!.push(started.time - spawned!);
          memories.get(contender.name)!.push(started.peakMemory);
          if (round === 0)
            results.set(contender.name, {
              ...compare(started.output),
              ...reported(started),
            });
        } finally {
          await end();
        }
      });
    return summary(contenders, results, times, memories);
  }
  const running = new Map<string, RunningProgram>();
  try {
    await eachContender(contenders, results, async (contender) => {
      onStep(`${contender.name}, loading`);
      const program = await start(contender);
      running.set(contender.name, program);
      results.set(contender.name, { ...compare(program.started.output), ...reported(program.started) });
      onStep(`${contender.name}, warming up`);
      await program.block({ warmUp: schedule.warmUp, timed: { milliseconds: 0, runs: 0 } });
    });
    for (let round = 0; round < schedule.rounds; round++)
      await eachContender(orderOf(contenders, round), results, async ({ name }) => {
        onStep(`${name}, round ${round + 1} of ${schedule.rounds}`);
        await pause();
        const request = { warmUp: schedule.blockWarmUp, timed: schedule.block };
        times.get(name)!.push(...(await running.get(name)!.block(request)));
      });
  } finally {
    await Promise.all([...running.values()].map((program) => program.end()));
  }
  return summary(contenders, results, times);
}

function summary(
  contenders: readonly Contender[],
  results: ReadonlyMap<string, Result>,
  times: ReadonlyMap<string, readonly number[]>,
  memories?: ReadonlyMap<string, readonly number[]>,
): Row {
  return Object.fromEntries(
    contenders.map(({ name }): [string, Result] => {
      const result = results.get(name)!;
      const own = times.get(name)!;
      if (result.failure || own.length === 0) return [name, result];
      return [
        name,
        {
          ...result,
          median: rounded(median(own)),
          minimum: rounded(Math.min(...own)),
          runs: own.length,
          ...(memories ? { memory: rounded(median(memories.get(name)!)) } : {}),
        },
      ];
    }),
  );
}
