/**
 * The reference back end: every op by its definition in plain TypeScript. Slow and obvious, it is the
 * oracle that the other back ends are tested against.
 */
import { type Graph, isInput, isParameter, type Node } from '../../graph/graph.js';
import { lastUses } from '../../graph/liveness.js';
import type { Values } from '../../ops/define.js';
import { computeReference } from '../../ops/index.js';
import { sizeOf } from '../../tensor/shape.js';
import type { Tensor, Weights } from '../../tensor/tensor.js';
import type { Backend, CompileOptions, ProfileStep, Program } from '../backend.js';
import { describe, flopsOf } from '../describe.js';
import { valuesFor } from '../feeds.js';

/** Longest stretch of work, in milliseconds, before the event loop gets a turn. */
const PATIENCE = 50;

/** Options of {@link referenceBackend}. */
export interface ReferenceOptions {
  /** What values are held in between the ops. Default `'float64'`; inputs and results are float32. */
  readonly precision?: 'float32' | 'float64';
}

/** The reference back end, in the precision asked for. */
export const referenceBackend = ({ precision = 'float64' }: ReferenceOptions = {}): Backend => ({
  name: 'reference',
  compile: (graph, weights, options) => Promise.resolve(referenceProgram(graph, weights, precision, options)),
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
  /** Parameters in the precision of the program, so that many small updates do not round to float32 in between. */
  let state: ReadonlyMap<string, Values> | undefined = new Map(
    graph.nodes.filter(isParameter).map((node) => {
      const { name } = node.attrs;
      const value = weights.get(name);
      if (!value) throw new Error(`${graph.at('')}: there is no weight called ${name}.`);
      const held = create(value.shape);
      held.set(value.data);
      return [name, held];
    }),
  );
  const stateNow = (): ReadonlyMap<string, Values> => {
    if (!state) throw new Error('This program has been disposed of; compile the model again.');
    return state;
  };

  async function run(
    feeds: ReadonlyMap<string, Tensor>,
    stop?: AbortSignal,
    onStep?: (node: Node, milliseconds: number) => void,
  ): Promise<ReadonlyMap<string, Tensor>> {
    const parameters = stateNow();
    const values = new Map<Node, Values>();
    let turn = performance.now();
    for (const [index, node] of graph.nodes.entries()) {
      if (performance.now() - turn > PATIENCE) {
        await new Promise((resolve) => setTimeout(resolve));
        turn = performance.now();
      }
      stop?.throwIfAborted();
      const started = performance.now();
      values.set(node, evaluate(node, values, parameters, feeds));
      if (!isInput(node) && !isParameter(node)) onStep?.(node, performance.now() - started);
      for (const input of node.inputs) if (lastUse.get(input) === index) values.delete(input);
    }
    if (graph.updates.size > 0)
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
      return [...(state?.values() ?? [])].reduce((bytes, value) => bytes + value.byteLength, 0);
    },
    run: (feeds, stop) => run(feeds, stop),
    parameters: () =>
      Promise.resolve(
        new Map(
          [...stateNow()].map(([name, value]) => [
            name,
            { shape: weights.get(name)!.shape, data: Float32Array.from(value) },
          ]),
        ),
      ),
    async profile(feeds) {
      const steps: ProfileStep[] = [];
      await run(feeds, undefined, (node, milliseconds) =>
        steps.push({
          path: node.path,
          op: describe(node),
          algorithm: 'reference',
          milliseconds,
          flops: flopsOf(node),
        }),
      );
      return { backend: 'reference', threads: 1, notes: [precision], steps };
    },
    dispose() {
      state = undefined;
      return Promise.resolve();
    },
  };
}
