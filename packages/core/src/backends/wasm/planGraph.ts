/**
 * Plans a whole graph: phases that compute its nodes, copy outputs into the host's order, and apply updates.
 */
import { type Graph, isParameter, type Node, parametersOf } from '../../graph/graph.js';
import { type Shape, sizeOf } from '../../tensor/shape.js';
import type { Weights } from '../../tensor/tensor.js';
import type { Engine } from './codegen/engine.js';
import { FLOAT } from './codegen/kernel.js';
import { type Dense, isDense, stridesOf } from './memory/layout.js';
import type { Pointer } from './memory/region.js';
import { copiesPhase, copyLoops, copyPhase } from './ops/data/copy.js';
import type { Lowerer } from './ops/index.js';
import { Planner } from './schedule/planner.js';

/**
 * A plan, with the outputs by name and the changing parameters by name. Both lie in memory in the host's
 * order.
 */
export type PlannedGraph = ReturnType<typeof planGraph>;

/**
 * Plans all phases of a graph.
 * @param graph - tiled by `tileBatch`.
 * @param threads - number of threads that share each phase.
 * @param lower - lowerings of the graph's ops, from `lowererFor`.
 */
export function planGraph(graph: Graph, weights: Weights, engine: Engine, threads: number, lower: Lowerer) {
  const planner = new Planner(graph, weights, engine, threads);
  planner.transformChangingWeights = lower.transformChangingWeights;
  planner.plan((node) => lower.node(planner, node));
  const outputs = new Map<string, { readonly node: Node; readonly value: Dense }>();
  for (const [name, node] of graph.outputs) {
    const value = planner.value(node);
    const { shape } = node;
    if (isDense(value, shape)) outputs.set(name, { node, value: { kind: 'dense', at: value.at, shape } });
    else {
      const dense: Dense = { kind: 'dense', at: planner.io.reserve(sizeOf(shape) * FLOAT), shape };
      planner.setAlgorithm('copy');
      planner.beginNode(node);
      copyPhase(planner, shape, value, dense);
      outputs.set(name, { node, value: dense });
    }
  }
  const state = planUpdates(graph, planner, lower);
  return { planner, outputs, state };
}

/**
 * Adds the phases that apply updates. They compute the steps of optimizers in place and copy other new values
 * to their parameters. A parameter that is the new value of another one is copied to a temporary first, as it
 * may change too.
 * @returns the changing parameters by name.
 */
function planUpdates(
  graph: Graph,
  planner: Planner,
  lower: Lowerer,
): ReadonlyMap<string, { readonly at: Pointer; readonly shape: Shape }> {
  const parameters = parametersOf(graph);
  const chained = new Set(planner.updateChains.flatMap(({ updates }) => updates.map(([name]) => name)));
  const copied = [...graph.updates].filter(([name]) => !chained.has(name));
  const updates = copied.map(([name, node]) => {
    const { shape } = node;
    let from = planner.value(node);
    if (isParameter(node)) {
      const temporary: Dense = { kind: 'dense', at: planner.io.reserve(sizeOf(shape) * FLOAT), shape };
      planner.beginNode(node);
      planner.setAlgorithm('copy');
      copyPhase(planner, shape, from, temporary);
      from = temporary;
    }
    return { name, shape, from, to: planner.value(parameters.get(name)!) };
  });
  planner.computePhaseCount = planner.phases.length;
  if (updates.length > 0) {
    planner.setAlgorithm('copy');
    copiesPhase(
      planner,
      updates.map(({ shape, from, to }) => ({
        from: from.at,
        to: to.at,
        loops: copyLoops(shape, stridesOf(from, shape), stridesOf(to, shape)),
      })),
    );
  }
  if (planner.updateChains.length > 0) lower.updates(planner);
  return new Map(
    [...graph.updates.keys()].map((name) => {
      const parameter = parameters.get(name)!;
      return [name, { at: planner.value(parameter).at, shape: parameter.shape }];
    }),
  );
}
