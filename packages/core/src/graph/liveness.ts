/** Live ranges of values: the last step that reads a value, after which its memory is free. */
import type { Graph, Node } from './graph.js';

/**
 * Gives the index of the last step that reads each value.
 * @param steps - the values that each step reads, in order.
 */
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
  /** Maps a node to the one at whose position it is computed, for fused nodes. Default: the node itself. */
  readonly computedAt?: (node: Node) => Node;
  /** Nodes that live to the end of a run, besides outputs and updates. Default: none. */
  readonly kept?: Iterable<Node>;
}

/**
 * Gives the index of the last reader of each node. For outputs, updates and `kept` nodes, which live to the
 * end of a run, it is `graph.nodes.length`; for a node without readers, the index of the node.
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
