/** Takes a part out of a graph: the nodes that some results are computed from. */
import type { Graph, Node } from './graph.js';
import { rewrite } from './rewrite.js';

/** The results to extract. */
export interface ExtractOptions {
  /** Outputs of the part, by name. Default: the graph's. */
  readonly outputs?: ReadonlyMap<string, Node>;
  /** Updates of the part, by parameter. Default: the graph's. */
  readonly updates?: ReadonlyMap<string, Node>;
  /** Nodes to take along with what they need, read or not. Default: none. */
  readonly kept?: Iterable<Node>;
}

/** A new graph of the nodes that the results and the `kept` nodes need, in order, and of the module outputs among them. */
export function extract(
  graph: Graph,
  { outputs = graph.outputs, updates = graph.updates, kept = [] }: ExtractOptions = {},
): Graph {
  const needed = new Set<Node>([...outputs.values(), ...updates.values(), ...kept]);
  for (const node of [...graph.nodes].reverse())
    if (needed.has(node)) for (const input of node.inputs) needed.add(input);
  return rewrite(graph, (_node, _inputs, _target, copy) => copy(), { nodes: needed, outputs, updates });
}
