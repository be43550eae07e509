/**
 * Plans a whole graph: schedules it, lowers its nodes, copies outputs into the host's order, and applies
 * updates.
 */
import { isInput, isParameter, type Node, parametersOf } from '../../graph/graph.js';
import { type Shape, sizeOf } from '../../tensor/shape.js';
import type { Weights } from '../../tensor/tensor.js';
import type { Engine } from './codegen/engine.js';
import { FLOAT } from './codegen/kernel.js';
import { type Dense, isDense, stridesOf } from './memory/layout.js';
import { type Pointer, requireAddressable } from './memory/region.js';
import { copiesPhase, copyLoops, copyPhase } from './ops/data/copy.js';
import type { Lowerer } from './ops/index.js';
import type { TiledGraph } from './schedule/batchTile.js';
import { LoweringContext, PlanParts } from './schedule/context.js';
import { scheduleGraph } from './schedule/schedule.js';

/** An output: its node, and its value in the host's order. */
interface Output {
  readonly node: Node;
  readonly value: Dense;
}

/** A changing parameter: its memory in the host's order. */
interface ChangingParameter {
  readonly at: Pointer;
  readonly shape: Shape;
}

/** A plan: its parts, and the outputs and changing parameters by name. */
export interface Plan {
  readonly parts: PlanParts;
  readonly outputs: ReadonlyMap<string, Output>;
  readonly state: ReadonlyMap<string, ChangingParameter>;
}

/**
 * Plans all phases of a graph.
 * @param tiled - from `tileBatch`.
 * @param weights - values of the parameters, read while a program is loaded.
 * @param threads - number of threads that share each phase.
 * @param lowerer - lowerings of the graph's ops, from `lowererFor`.
 */
export function planGraph(
  tiled: TiledGraph,
  weights: Weights,
  engine: Engine,
  threads: number,
  lowerer: Lowerer,
): Plan {
  const parts = new PlanParts(scheduleGraph(tiled), weights, engine, threads);
  planNodes(parts, lowerer);
  const outputs = planOutputs(parts);
  planUpdates(parts, lowerer);
  const { graph } = parts.schedule;
  const parameters = parametersOf(graph);
  const state = new Map(
    [...graph.updates.keys()].map((name) => {
      const parameter = parameters.get(name)!;
      return [name, { at: parts.values.value(parameter).at, shape: parameter.shape }];
    }),
  );
  return { parts, outputs, state };
}

/** Lowers all nodes in order. A value has memory from its first write to its last read. */
function planNodes(parts: PlanParts, lowerer: Lowerer): void {
  const { schedule, arena, values, recorder } = parts;
  const { graph, tiling, placement, fusions } = schedule;
  const allocations = new Set([...placement.values.values()].map(({ allocation }) => allocation));
  for (const [index, node] of graph.nodes.entries()) {
    for (const allocation of allocations)
      if (allocation.firstWrite === index) values.acquire(allocation, arena);
    // Checks the size before planning: listing the calls of a value that exceeds memory takes seconds.
    requireAddressable(values.io.bytes + arena.bytes);
    if (!isInput(node) && !isParameter(node) && !placement.skipped.has(node))
      LoweringContext.lower(parts, node, (context) => lowerer.node(context, node, fusions.get(node)));
    for (const allocation of allocations)
      if (allocation.lastRead === index) values.release(allocation, arena);
    if (node === tiling?.part) recorder.repeatForTiles(tiling.tiles);
  }
}

/** Copies the outputs that are not in the host's order. */
function planOutputs(parts: PlanParts): ReadonlyMap<string, Output> {
  const { schedule, values } = parts;
  const outputs = new Map<string, Output>();
  for (const [name, node] of schedule.graph.outputs) {
    const value = values.value(node);
    const { shape } = node;
    if (isDense(value, shape)) outputs.set(name, { node, value: { kind: 'dense', at: value.at, shape } });
    else {
      const dense: Dense = { kind: 'dense', at: values.io.reserve(sizeOf(shape) * FLOAT), shape };
      LoweringContext.lower(parts, node, (context) => copyPhase(context, shape, value, dense));
      outputs.set(name, { node, value: dense });
    }
  }
  return outputs;
}

/**
 * Adds the phases that apply updates. They compute the steps of optimizers in place and copy other new values
 * to their parameters. A parameter that is the new value of another one is copied to a temporary first, as it
 * may change too.
 */
function planUpdates(parts: PlanParts, lowerer: Lowerer): void {
  const { schedule, values, recorder } = parts;
  const { graph, updateChains } = schedule;
  const parameters = parametersOf(graph);
  const chained = new Set(updateChains.flatMap(({ updates }) => updates.map(([name]) => name)));
  const copied = [...graph.updates].filter(([name]) => !chained.has(name));
  const copies = copied.map(([name, node]) => {
    const { shape } = node;
    let from = values.value(node);
    if (isParameter(node)) {
      const temporary: Dense = { kind: 'dense', at: values.io.reserve(sizeOf(shape) * FLOAT), shape };
      LoweringContext.lower(parts, node, (context) => copyPhase(context, shape, from, temporary));
      from = temporary;
    }
    const to = values.value(parameters.get(name)!);
    return {
      from: from.at,
      to: to.at,
      loops: copyLoops(shape, stridesOf(from, shape), stridesOf(to, shape)),
    };
  });
  recorder.beginUpdates();
  const last = graph.nodes.at(-1);
  if (!last) return;
  if (copies.length > 0) LoweringContext.lower(parts, last, (context) => copiesPhase(context, copies));
  if (updateChains.length > 0)
    LoweringContext.lower(parts, last, (context) => lowerer.updates(context, updateChains));
}
