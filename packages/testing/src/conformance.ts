/**
 * How a back end is judged: it runs a graph, the reference runs the same in float64, and every value must
 * agree within a stated tolerance. Knows no test runner, so that a page in a browser can do it too.
 */
import {
  type Backend,
  type CompileOptions,
  Graph,
  isInput,
  isParameter,
  type Node,
  referenceBackend,
  type Tensor,
  type Weights,
} from '@cnn/core';

/** One value for every input of a graph. */
export type Feeds = ReadonlyMap<string, Tensor>;

/** A graph with everything it needs to run. */
export interface ConformanceCase {
  readonly name: string;
  readonly graph: Graph;
  readonly weights: Weights;
  /** What it is fed, run by run. A graph with updates goes on from one run to the next. */
  readonly runs: readonly Feeds[];
  /** Whether values are only moved or picked, so that results are the same to the last bit. Default false. */
  readonly exact?: boolean;
}

/** Makes cases at the first call and gives the same ones at each: what is known of them is kept by object. */
export function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** Every result of a case by name: the outputs of each run, and at the end the parameters, if the graph updates some. */
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

/** What the reference gives for a case. */
interface Expected {
  readonly double: ReadonlyMap<string, Tensor>;
  /** The same in float32 arithmetic: how far that deviates says what may be asked of others. */
  readonly single: ReadonlyMap<string, Tensor>;
}

const computed = new WeakMap<ConformanceCase, Promise<Expected>>();

/** The reference's results, computed once for a case: it is slow, and many back ends are compared with it. */
export function expectedOf(subject: ConformanceCase): Promise<Expected> {
  const compute = async (): Promise<Expected> => ({
    double: await resultsOf(referenceBackend(), subject),
    single: await resultsOf(referenceBackend({ precision: 'float32' }), subject),
  });
  const expected = computed.get(subject) ?? compute();
  computed.set(subject, expected);
  return expected;
}

/** The largest absolute value among the finite ones, 0 where there is none. */
const largest = (values: ArrayLike<number>): number => {
  let result = 0;
  for (let i = 0; i < values.length; i++)
    if (Number.isFinite(values[i])) result = Math.max(result, Math.abs(values[i]!));
  return result;
};

/**
 * How far a float32 result may lie from the float64 one: twenty times as far as plain float32 arithmetic
 * does, 1e-5 of the largest value, and 1e-6 of the largest value of all results together, since a gradient
 * that is zero by mathematics is nothing but the others' rounding. Generous to fast algorithms such as
 * Winograd's, and still far below what a single wrong tap or a missing bias makes.
 */
export function toleranceFor(expected: Float32Array, single: Float32Array, ofAll: number): number {
  const deviation = largest(single.map((value, i) => value - expected[i]!));
  return 20 * deviation + 1e-5 * largest(expected) + 1e-6 * ofAll;
}

/** What is wrong with one tensor, as the end of a sentence; undefined when nothing is. */
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

/** Everything in which a back end differs from the reference on a case, as sentences; empty when it conforms. */
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

/** What is wrong with the results of a case, as sentences. */
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
