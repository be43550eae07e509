/** Live ranges of values: the last step that reads each, after which its memory is free. */
import type { Graph, Node } from './graph.js';

/** Index of the last step that reads each value. `steps` lists the values that each step reads, in order. */
export function lastReads<T>(steps: Iterable<readonly T[]>): ReadonlyMap<T, number> {
  const last = new Map<T, number>();
  let index = 0;
  for (const values of steps) {
    for (const value of values) last.set(value, index);
    index++;
  }
  return last;
}

/** Options of {@link lastUses}. */
export interface LivenessOptions {
  /** The node at whose place in the order another one is computed. Default: at its own. */
  readonly computedAt?: (node: Node) => Node;
  /** Nodes that live to the end of a run, beside outputs and updates. Default: none. */
  readonly kept?: Iterable<Node>;
}

/**
 * Index of the last node that reads each node. Outputs, updates and `kept` nodes live to the end of a run and have
 * `graph.nodes.length`; a node that nothing reads has its own index.
 */
export function lastUses(
  graph: Graph,
  { computedAt = (node) => node, kept = [] }: LivenessOptions = {},
): ReadonlyMap<Node, number> {
  const indices = new Map(graph.nodes.map((node, index) => [node, index]));
  const last = new Map(indices);
  for (const node of graph.nodes) {
    const index = indices.get(computedAt(node))!;
    for (const input of node.inputs) last.set(input, Math.max(last.get(input)!, index));
  }
  for (const set of [graph.outputs.values(), graph.updates.values(), kept])
    for (const node of set) last.set(node, graph.nodes.length);
  return last;
}
