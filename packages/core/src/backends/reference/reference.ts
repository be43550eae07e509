/**
 * The reference back end: computes every op by its definition, in plain TypeScript. Slow and obvious; the
 * other back ends are tested against it.
 */
import { type Graph, isInput, isParameter, type Node } from '../../graph/graph.js';
import { lastUses } from '../../graph/liveness.js';
import { weightOf } from '../../graph/weightOf.js';
import type { Values } from '../../ops/define.js';
import { computeReference } from '../../ops/index.js';
import { sizeOf } from '../../tensor/shape.js';
import type { Tensor, Weights } from '../../tensor/tensor.js';
import { timeSlices } from '../../yield.js';
import type { Backend, CompileOptions, ProfileStep, Program } from '../backend.js';
import { stepOf } from '../common/describe.js';
import { valuesFor } from '../common/feeds.js';
import { Lifetime } from '../common/lifetime.js';

/** Options of {@link referenceBackend}. */
export interface ReferenceOptions {
  /** Type of all values between inputs and outputs, which are float32. Default `'float64'`. */
  readonly precision?: 'float32' | 'float64';
}

/** Makes a reference back end. It runs on the calling thread, in slices. */
export const referenceBackend = ({ precision = 'float64' }: ReferenceOptions = {}): Backend => ({
  name: 'reference',
  compile: async (graph, weights, options) => referenceProgram(graph, weights, precision, options),
});

function referenceProgram(
  graph: Graph,
  weights: Weights,
  precision: 'float32' | 'float64',
  { signal }: CompileOptions = {},
): Program {
  signal?.throwIfAborted();
  const create = (shape: readonly number[]): Values =>
    precision === 'float64' ? new Float64Array(sizeOf(shape)) : new Float32Array(sizeOf(shape));
  const lastUse = lastUses(graph);
  /** Parameters, in the program's precision, so that many small updates do not each round to float32. */
  let state: ReadonlyMap<string, Values> = new Map(
    graph.nodes.filter(isParameter).map((node) => {
      const value = weightOf(node, weights);
      const held = create(value.shape);
      held.set(value.data);
      return [node.attrs.name, held];
    }),
  );
  const lifetime = new Lifetime();

  async function run(
    feeds: ReadonlyMap<string, Tensor>,
    stop?: AbortSignal,
    onStep?: (node: Node, milliseconds: number) => void,
  ): Promise<ReadonlyMap<string, Tensor>> {
    lifetime.requireAlive();
    const parameters = state;
    const values = new Map<Node, Values>();
    const yieldIfDue = timeSlices();
    for (const [index, node] of graph.nodes.entries()) {
      await yieldIfDue();
      stop?.throwIfAborted();
      const started = performance.now();
      values.set(node, evaluate(node, values, parameters, feeds));
      if (!isInput(node) && !isParameter(node)) onStep?.(node, performance.now() - started);
      for (const input of node.inputs) if (lastUse.get(input) === index) values.delete(input);
    }
    if (graph.updates.size > 0 && !lifetime.ended)
      state = new Map([
        ...parameters,
        ...[...graph.updates].map(([name, node]) => [name, values.get(node)!] as const),
      ]);
    return new Map(
      [...graph.outputs].map(([name, node]) => [
        name,
        { shape: node.shape, data: Float32Array.from(values.get(node)!) },
      ]),
    );
  }

  function evaluate(
    node: Node,
    values: ReadonlyMap<Node, Values>,
    parameters: ReadonlyMap<string, Values>,
    feeds: ReadonlyMap<string, Tensor>,
  ): Values {
    if (isParameter(node)) return parameters.get(node.attrs.name)!;
    const output = create(node.shape);
    if (isInput(node)) {
      output.set(valuesFor(graph, node.attrs.name, node.shape, feeds));
      return output;
    }
    return computeReference(node, (input) => values.get(input)!, output);
  }

  return {
    backend: 'reference',
    threads: 1,
    get memory() {
      return [...state.values()].reduce((bytes, value) => bytes + value.byteLength, 0);
    },
    run: (feeds, stop) => run(feeds, stop),
    async parameters() {
      lifetime.requireAlive();
      return new Map(
        [...state].map(([name, value]) => [
          name,
          { shape: weights.get(name)!.shape, data: Float32Array.from(value) },
        ]),
      );
    },
    async profile(feeds) {
      const steps: ProfileStep[] = [];
      await run(feeds, undefined, (node, milliseconds) =>
        steps.push(stepOf(node, 'reference', milliseconds)),
      );
      return { backend: 'reference', threads: 1, notes: [precision], steps };
    },
    dispose: () =>
      lifetime.end(() => {
        state = new Map();
      }),
  };
}
