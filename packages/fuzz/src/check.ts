/**
 * Compares a random graph with the reference: as traced and simplified, on every variant of a back end, over
 * several runs.
 */
import type { Backend, Tensor, Weights } from '@cnn/core';
import {
  type CompileOptions,
  definitionOf,
  forInference,
  fuse,
  type Graph,
  inputsOf,
  type Program,
  prepareForInference,
  prune,
  type Values,
  verify,
} from '@cnn/core/graph';
import type { Feeds } from '@cnn/testing/conformance';
import { withTimeout } from '@cnn/testing/timeout';
import { Draw } from './draw.js';
import type { RandomCase } from './randomGraph.js';
import { Rounding } from './rounding.js';

/** A back end with its options. */
export interface Variant {
  readonly name: string;
  readonly backend: Backend;
  readonly compile?: CompileOptions;
  /** True if the results must be bit-identical to those of the previous variant. Default false. */
  readonly sameBits?: boolean;
  /** True to also check that NaN does not spread to other runs or pictures. Default true. */
  readonly nonFinite?: boolean;
  /** True if the variant supports training steps. Default true. */
  readonly trains?: boolean;
}

/** Result of a case: a problem, a reason why nothing was compared, or neither. */
export interface Finding {
  /** Description of the problem; starts with the form and the variant. */
  readonly problem?: string;
  /** Variant with the problem. */
  readonly variant?: Variant;
  /** Reason why nothing was compared. */
  readonly skipped?: string;
}

/** Timeout of each operation of a program, in milliseconds; far longer than any of these graphs needs. */
const TIMEOUT_MS = 30_000;

/** Settles with a program's result, or rejects after the timeout. */
const inTime = <T>(what: string, promise: Promise<T>): Promise<T> =>
  withTimeout(promise, TIMEOUT_MS, () => new Error(`${what} did not end within ${TIMEOUT_MS / 1000} s`));

interface Form {
  readonly name: string;
  readonly graph: Graph;
  readonly weights: Weights;
}

/** Returns the graph as drawn, and as `compile` or the trainer simplifies it. */
function formsOf({ graph, weights, training }: RandomCase): readonly Form[] {
  if (training)
    return [
      { name: 'as built', graph, weights },
      { name: 'fused', graph: prune(fuse(graph)), weights },
    ];
  return [
    { name: 'as traced', graph: prune(forInference(graph)), weights },
    { name: 'simplified', ...prepareForInference(graph, weights) },
  ];
}

/** Runs a program and returns all results in the order of {@link resultsInFloat64}. */
async function results(
  program: Program,
  graph: Graph,
  runs: readonly Feeds[],
): Promise<readonly Float32Array[]> {
  const all: Float32Array[] = [];
  for (const feeds of runs) {
    const outputs = await inTime('The run', program.run(feeds));
    for (const name of graph.outputs.keys()) all.push(outputs.get(name)!.data);
  }
  if (graph.updates.size > 0) {
    const parameters = await inTime('Reading parameters', program.parameters());
    for (const name of graph.updates.keys()) all.push(parameters.get(name)!.data);
  }
  return all;
}

const namesOf = ({ graph, runs }: RandomCase): readonly string[] => [
  ...runs.flatMap((_, run) =>
    [...graph.outputs.keys()].map((name) => `${name}${runs.length > 1 ? ` of run ${run}` : ''}`),
  ),
  ...[...graph.updates.keys()].map((name) => `parameter ${name}`),
];

const bitsOf = (values: Float32Array): Uint32Array =>
  new Uint32Array(values.buffer, values.byteOffset, values.length);

/** Describes the differences of two lists as the end of a sentence; undefined if there are none. */
function difference(
  got: ArrayLike<number>,
  expected: ArrayLike<number>,
  differs: (i: number) => boolean,
): string | undefined {
  let count = 0;
  let first = -1;
  for (let i = 0; i < expected.length; i++)
    if (differs(i)) {
      count++;
      if (first < 0) first = i;
    }
  return count === 0
    ? undefined
    : `${count} of ${expected.length} values, first in [${first}]: ${got[first]} for ${expected[first]}`;
}

function bitDifference(
  names: readonly string[],
  got: readonly Float32Array[],
  expected: readonly Float32Array[],
): string | undefined {
  for (const [index, values] of expected.entries()) {
    const [a, b] = [bitsOf(got[index]!), bitsOf(values)];
    const problem = difference(
      got[index]!,
      values,
      (i) => a[i] !== b[i] && !(Number.isNaN(got[index]![i]) && Number.isNaN(values[i])),
    );
    if (problem) return `${names[index]} differs in ${problem}`;
  }
  return undefined;
}

/**
 * Describes a deviation that exceeds rounding. Before it reports one, it raises the number of rounding
 * trials.
 */
function deviation(
  names: readonly string[],
  got: readonly Float32Array[],
  rounding: Rounding,
): string | undefined {
  const firstExcess = (): string | undefined => {
    for (const [index, expected] of rounding.expected.entries()) {
      const values = got[index]!;
      if (values.length !== expected.length)
        return `${names[index]} has ${values.length} values instead of ${expected.length}`;
      const tolerance = rounding.tolerance(index);
      const problem = difference(
        values,
        expected,
        (i) => !(Math.abs(values[i]! - Math.fround(expected[i]!)) <= tolerance),
      );
      if (problem)
        return `${names[index]} differs in ${problem} (rounding explains ${tolerance.toExponential(1)})`;
    }
    return undefined;
  };
  if (!firstExcess()) return undefined;
  rounding.addTrials(40);
  return firstExcess();
}

/** True if the pictures of a batch are independent; then a NaN in one leaves the others unchanged. */
const isPerPicture = (graph: Graph): boolean => {
  const batch = [...inputsOf(graph).values()].map(({ shape }) => shape[0]);
  return graph.nodes.every(
    ({ op, attrs, shape, inputs }) =>
      op === 'parameter' ||
      (shape[0] === batch[0] &&
        !('axis' in attrs && attrs.axis === 0) &&
        !(op === 'reshape' && inputs[0]!.shape[0] !== shape[0]) &&
        !(op === 'mul' && inputs[1]!.shape[0] !== shape[0]) &&
        !(op === 'pad' && (attrs as { readonly before: readonly number[] }).before[0] !== 0)),
  );
};

/**
 * Checks that runs do not affect later ones: runs with NaN everywhere, repeats the first run, then runs with
 * NaN in one picture.
 */
async function checkStaleValues(
  program: Program,
  { graph, runs: [feeds] }: { readonly graph: Graph; readonly runs: readonly Feeds[] },
  first: readonly Float32Array[],
  names: readonly string[],
): Promise<string | undefined> {
  const poisoned = (picture?: number): Feeds =>
    new Map(
      [...feeds!].map(([name, { shape, data }]): [string, Tensor] => {
        const row = data.length / shape[0]!;
        const copy = data.slice();
        copy.fill(
          Number.NaN,
          picture === undefined ? 0 : picture * row,
          picture === undefined ? copy.length : (picture + 1) * row,
        );
        return [name, { shape, data: copy }];
      }),
    );
  await results(program, graph, [poisoned()]);
  const again = bitDifference(names, await results(program, graph, [feeds!]), first);
  if (again) return `after a run of NaN ${again}`;
  const pictures = [...feeds!.values()][0]?.shape[0] ?? 1;
  if (pictures === 1 || !isPerPicture(graph)) return undefined;
  const picture = pictures >> 1;
  const others = await results(program, graph, [poisoned(picture)]);
  for (const [index, expected] of first.entries()) {
    const row = expected.length / pictures;
    const values = others[index]!.map((value, i) => (Math.floor(i / row) === picture ? expected[i]! : value));
    const problem = bitDifference([names[index]!], [values], [expected]);
    if (problem) return `with NaN in picture ${picture} ${problem} of another picture`;
  }
  return undefined;
}

/**
 * Aborts a run at a random time: it must reject with the reason or complete, and the next run must equal the
 * first.
 */
async function checkAbort(
  program: Program,
  { graph, runs: [feeds] }: RandomCase,
  first: readonly Float32Array[],
  names: readonly string[],
  draw: Draw,
): Promise<string | undefined> {
  const controller = new AbortController();
  const reason = new Error('stopped');
  const running = program.run(feeds!, controller.signal).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (draw.chance(0.5)) await new Promise((resolve) => setTimeout(resolve, draw.between(0, 3)));
  controller.abort(reason);
  const outcome = await inTime('A run that was aborted', running);
  if (outcome !== undefined && outcome !== reason)
    return `a run that was aborted rejects with ${String(outcome)}`;
  const problem = bitDifference(names, await results(program, graph, [feeds!]), first);
  return problem && `after a run that was aborted ${problem}`;
}

/** Compares a case with the reference on all variants. */
export async function check(
  subject: RandomCase,
  variants: readonly Variant[],
  seed: number,
): Promise<Finding> {
  const names = namesOf(subject);
  const rounding = new Rounding(subject, seed);
  if (
    rounding.expected.some((values: Values) => values.some((value) => !Number.isFinite(Math.fround(value))))
  )
    return { skipped: 'values beyond float32' };
  const draw = new Draw(seed);
  for (const form of formsOf(subject)) {
    let previous: readonly Float32Array[] | undefined;
    for (const variant of variants) {
      if (subject.training && variant.trains === false) continue;
      const problem = await tryVariant(variant, form);
      if (problem) return { problem: `${form.name}, ${variant.name}: ${problem}.`, variant };
    }

    async function tryVariant(variant: Variant, { graph, weights }: Form): Promise<string | undefined> {
      try {
        verify(graph, definitionOf);
        const program = await inTime('Compiling', variant.backend.compile(graph, weights, variant.compile));
        try {
          const got = await results(program, graph, subject.runs);
          const problem =
            (variant.sameBits && previous && bitDifference(names, got, previous)) ||
            deviation(names, got, rounding);
          previous = got;
          if (problem || subject.training) return problem || undefined;
          return (
            ((variant.nonFinite ?? true) &&
              (await checkStaleValues(program, { ...subject, graph }, got, names))) ||
            (await checkAbort(program, subject, got, names, draw)) ||
            undefined
          );
        } finally {
          await inTime('Disposing', program.dispose());
        }
      } catch (error) {
        return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      }
    }
  }
  return {};
}
