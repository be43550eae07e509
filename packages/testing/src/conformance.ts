/**
 * Compares a back end with the reference: both run the same graph, the reference in float64, and every value
 * must agree within a stated tolerance. Independent of the test runner, so that pages can use it too.
 */
import { type Backend, type Node, referenceBackend, type Tensor, type Weights } from '@cnn/core';
import { type CompileOptions, Graph, isInput, isParameter } from '@cnn/core/graph';

/** A value for every input of a graph, by name. */
export type Feeds = ReadonlyMap<string, Tensor>;

/** A graph with its weights and inputs. */
export interface ConformanceCase {
  readonly name: string;
  readonly graph: Graph;
  readonly weights: Weights;
  /** Inputs of each run. A graph with updates keeps its state from one run to the next. */
  readonly runs: readonly Feeds[];
  /** True if values are only copied or selected, so that results must be bit-identical. Default false. */
  readonly exact?: boolean;
}

/** Wraps a function that makes cases: later calls return the same objects, so that results are cached by case. */
export function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** Runs a case. Returns all results by name: the outputs of each run, then the updated parameters. */
export async function resultsOf(
  backend: Backend,
  { graph, weights, runs }: ConformanceCase,
  options?: CompileOptions,
): Promise<ReadonlyMap<string, Tensor>> {
  const results = new Map<string, Tensor>();
  const program = await backend.compile(graph, weights, options);
  try {
    for (const [index, feeds] of runs.entries())
      for (const [name, value] of await program.run(feeds))
        results.set(runs.length > 1 ? `${name} of run ${index}` : name, value);
    if (graph.updates.size > 0) {
      const parameters = await program.parameters();
      for (const name of graph.updates.keys()) results.set(`parameter ${name}`, parameters.get(name)!);
    }
  } finally {
    await program.dispose();
  }
  return results;
}

/** Results of the reference back end for a case. */
interface Expected {
  readonly double: ReadonlyMap<string, Tensor>;
  /** Results in float32 arithmetic; their deviation is the measure of what other back ends may deviate. */
  readonly single: ReadonlyMap<string, Tensor>;
}

const computed = new WeakMap<ConformanceCase, Promise<Expected>>();

/** Returns the reference's results, computed once per case: the reference is slow, and many back ends need it. */
export function expectedOf(subject: ConformanceCase): Promise<Expected> {
  const compute = async (): Promise<Expected> => ({
    double: await resultsOf(referenceBackend(), subject),
    single: await resultsOf(referenceBackend({ precision: 'float32' }), subject),
  });
  const expected = computed.get(subject) ?? compute();
  computed.set(subject, expected);
  return expected;
}

/** Returns the largest absolute finite value; 0 if there is none. */
const largest = (values: ArrayLike<number>): number => {
  let result = 0;
  for (let i = 0; i < values.length; i++)
    if (Number.isFinite(values[i])) result = Math.max(result, Math.abs(values[i]!));
  return result;
};

/**
 * Tolerance of a float32 result: 20 times the deviation of plain float32 arithmetic from float64, plus 1e-5
 * of the result's largest value, plus 1e-6 of the largest value of all results. The last term covers
 * gradients that are zero in exact arithmetic and therefore consist of rounding errors of other values. The
 * tolerance admits fast algorithms such as Winograd's, and is far below the effect of a single wrong tap or a
 * missing bias.
 * @param ofAll - largest value of all results of the case.
 */
export function toleranceFor(expected: Float32Array, single: Float32Array, ofAll: number): number {
  const deviation = largest(single.map((value, i) => value - expected[i]!));
  return 20 * deviation + 1e-5 * largest(expected) + 1e-6 * ofAll;
}

/** Describes a difference between tensors as the end of a sentence; undefined if there is none. */
export function difference(expected: Tensor, got: Tensor | undefined, tolerance: number): string | undefined {
  if (!got) return 'is missing';
  if (String(got.shape) !== String(expected.shape))
    return `has shape [${got.shape.join(', ')}], the reference has [${expected.shape.join(', ')}]`;
  if (got.data.length !== expected.data.length)
    return `has ${got.data.length} values, the reference has ${expected.data.length}`;
  let wrong = 0;
  let first = -1;
  for (let i = 0; i < expected.data.length; i++) {
    const [value, wanted] = [got.data[i]!, expected.data[i]!];
    const fine = Number.isFinite(wanted) ? Math.abs(value - wanted) <= tolerance : Object.is(value, wanted);
    if (fine) continue;
    wrong++;
    if (first < 0) first = i;
  }
  return wrong === 0
    ? undefined
    : `differs in ${wrong} of ${expected.data.length} values, first in [${first}]: ${got.data[first]} where the reference has ${expected.data[first]} (tolerance ${tolerance.toExponential(1)})`;
}

/** Returns the differences between a back end and the reference on a case, as sentences. */
export async function differences(
  backend: Backend,
  subject: ConformanceCase,
  options?: CompileOptions,
): Promise<readonly string[]> {
  return compared(subject, await resultsOf(backend, subject, options));
}

/**
 * The same for several cases that the back end runs as one program, where starting one takes longer than such cases.
 * Each case may have one run and no updates.
 */
export async function differencesTogether(
  backend: Backend,
  subjects: readonly ConformanceCase[],
  options?: CompileOptions,
): Promise<readonly string[]> {
  const graph = new Graph({ name: 'together' });
  const weights = new Map<string, Tensor>();
  const feeds = new Map<string, Tensor>();
  const place = (index: number, name: string): string => `${index}/${name}`;
  for (const [index, subject] of subjects.entries()) {
    const [run, ...more] = subject.runs;
    if (!run || more.length > 0 || subject.graph.updates.size > 0)
      throw new Error(`${subject.name} has several runs or updates, so it has to be a program of its own.`);
    for (const [name, value] of subject.weights) weights.set(place(index, name), value);
    for (const [name, value] of run) feeds.set(place(index, name), value);
    const copies = new Map<Node, Node>();
    const copyOf = (node: Node): Node => {
      if (isInput(node)) return graph.input(place(index, node.attrs.name), node.shape);
      if (isParameter(node))
        return graph.parameter(place(index, node.attrs.name), node.shape, node.attrs.trainable);
      const inputs = node.inputs.map((input) => copies.get(input)!);
      return graph.add(node.op, inputs, node.attrs, node.shape, place(index, node.path));
    };
    for (const node of subject.graph.nodes) copies.set(node, copyOf(node));
    for (const [name, node] of subject.graph.outputs)
      graph.outputs.set(place(index, name), copies.get(node)!);
  }
  const together = { name: 'together', graph, weights, runs: [feeds] };
  const results = [...(await resultsOf(backend, together, options))];
  const problems = subjects.map((subject, index) => {
    const own = results.filter(([name]) => name.startsWith(place(index, '')));
    return compared(
      subject,
      new Map(own.map(([name, value]) => [name.slice(place(index, '').length), value])),
    );
  });
  return (await Promise.all(problems)).flat();
}

/** Compares the results of a case with the expected ones; returns a sentence for each difference. */
async function compared(
  subject: ConformanceCase,
  got: ReadonlyMap<string, Tensor>,
): Promise<readonly string[]> {
  const { double: expected, single } = await expectedOf(subject);
  const ofAll = Math.max(...[...expected.values()].map(({ data }) => largest(data)));
  return [...expected].flatMap(([name, wanted]) => {
    const tolerance = subject.exact ? 0 : toleranceFor(wanted.data, single.get(name)!.data, ofAll);
    const problem = difference(wanted, got.get(name), tolerance);
    return problem ? [`${subject.name}: ${name} ${problem}.`] : [];
  });
}
