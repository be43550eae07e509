/** Measures the contenders of a suite on one network: all are started, compared, and then take turns. */
import type { Effort, Started } from './protocol.js';
import { PeerFailure, type Running } from './running.js';
import type { Contender, Suite } from './suite.js';

/** Starts a contender on the network that is being measured. */
export type Start = (contender: Contender) => Promise<Running & { readonly spawned?: number }>;

/** What came out for a contender; a failure, or the rest. Times are of one run, in ms. */
export interface Result {
  readonly failure?: string;
  readonly median?: number;
  readonly minimum?: number;
  readonly runs?: number;
  /** Missing where the peer does not tell. */
  readonly threads?: number;
  readonly notes?: string;
  /** Largest absolute difference of an output from the first contender's. */
  readonly deviation?: number;
  /** Largest absolute output. */
  readonly magnitude?: number;
  /** Median of the most memory that the process held by its first result, in MB. */
  readonly memory?: number;
  /** From the beginning of loading to the first result, in ms; once. */
  readonly firstResult?: number;
  /** The part of it after the model and its weights were in memory. */
  readonly compile?: number;
  /** Kernels that were compiled for a GPU by then. */
  readonly kernels?: number;
}

/** Results by the contender's name. */
export type Row = Readonly<Record<string, Result>>;

/** How long to measure. */
export interface Schedule {
  readonly rounds: number;
  /** Once for each contender, before the rounds. */
  readonly warmUp: Effort;
  /** At the beginning of each turn, since processors and threads fall asleep while others have theirs. */
  readonly wakeUp: Effort;
  readonly turn: Effort;
}

/** As in the document; `slow` for runs that take seconds. */
export const schedule = (rounds: number, slow = false): Schedule => ({
  rounds,
  warmUp: { milliseconds: 600, runs: slow ? 1 : 3 },
  wakeUp: { milliseconds: slow ? 0 : 20, runs: slow ? 0 : 1 },
  turn: { milliseconds: 200, runs: slow ? 1 : 2 },
});

/** Outputs may differ by this share of the largest one; a peer that is further off computes something else. */
const TOLERANCE = 1e-3;

/** Threads of a peer that has just run may go on spinning for that long, in ms. */
const PAUSE = 40;

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, PAUSE));

/** Whose turn it is in a round: forwards, backwards, forwards, ... */
const inTurn = <T>(items: readonly T[], round: number): readonly T[] =>
  round % 2 === 0 ? items : items.toReversed();

/** The middle value. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Our outputs are the first ones seen; those of others are compared with them. */
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
      throw new PeerFailure(`the output has ${output.length} values, not ${expected.length}`);
    const other = expected;
    const deviation = output.reduce((most, value, i) => Math.max(most, Math.abs(value - other[i]!)), 0);
    if (deviation > TOLERANCE * magnitude)
      throw new PeerFailure(
        `the output differs by ${deviation.toPrecision(2)} of ${magnitude.toPrecision(2)}`,
      );
    return { deviation: rounded(deviation), magnitude: rounded(magnitude) };
  };
}

/** Four digits are more than a time is worth. */
const rounded = (value: number): number => Number(value.toPrecision(4));

/** What a program says of itself, as far as it says something. */
const told = ({ threads, notes, firstResult, compile, kernels }: Started): Result => ({
  ...(threads ? { threads } : {}),
  ...(notes.length > 0 ? { notes: notes.join(' ') } : {}),
  firstResult: rounded(firstResult),
  ...(compile ? { compile: rounded(compile) } : {}),
  ...(kernels ? { kernels } : {}),
});

/** Runs a piece of work for each contender; a failure of one is its result, and the others go on. */
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

/** Measures one network. `step` is told of each piece of work before it begins. */
export async function measure(
  { kind, contenders }: Suite,
  start: Start,
  plan: Schedule,
  step: (what: string) => void,
): Promise<Row> {
  const results = new Map<string, Result>();
  const compare = comparison();
  const times = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  if (kind === 'starts') {
    const memories = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
    for (let round = 0; round < plan.rounds; round++)
      await eachContender(inTurn(contenders, round), results, async (contender) => {
        step(`${contender.name}, start ${round + 1} of ${plan.rounds}`);
        const { started, spawned, end } = await start(contender);
        try {
          times.get(contender.name)!.push(started.time - spawned!);
          memories.get(contender.name)!.push(started.peakMemory);
          if (round === 0)
            results.set(contender.name, {
              ...compare(started.output),
              ...told(started),
            });
        } finally {
          await end();
        }
      });
    return summary(contenders, results, times, memories);
  }
  const running = new Map<string, Running>();
  try {
    await eachContender(contenders, results, async (contender) => {
      step(`${contender.name}, loading`);
      const program = await start(contender);
      running.set(contender.name, program);
      results.set(contender.name, { ...compare(program.started.output), ...told(program.started) });
      step(`${contender.name}, warming up`);
      await program.block({ warmUp: plan.warmUp, timed: { milliseconds: 0, runs: 0 } });
    });
    for (let round = 0; round < plan.rounds; round++)
      await eachContender(inTurn(contenders, round), results, async ({ name }) => {
        step(`${name}, round ${round + 1} of ${plan.rounds}`);
        await pause();
        times.get(name)!.push(...(await running.get(name)!.block({ warmUp: plan.wakeUp, timed: plan.turn })));
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
