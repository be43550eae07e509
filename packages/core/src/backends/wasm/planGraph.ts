/** Plans a whole graph: the phases of its nodes, those that bring outputs into the host's order, those that take on updates. */
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

/** A plan, and where its program finds what comes out. */
export type PlannedGraph = ReturnType<typeof planGraph>;

/** Plans all phases, those that bring outputs into the host's order included. */
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
 * Adds the phases that take on updates, all at once: steps of optimizers are computed there, other new values
 * lie in places of their own. Only a parameter that becomes another's value is put aside first, as it may
 * change itself.
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
      const aside: Dense = { kind: 'dense', at: planner.io.reserve(sizeOf(shape) * FLOAT), shape };
      planner.beginNode(node);
      planner.setAlgorithm('copy');
      copyPhase(planner, shape, from, aside);
      from = aside;
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
