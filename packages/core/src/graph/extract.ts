/** Extracts a part of a graph: the nodes that some results depend on. */
import type { Graph, Node } from './graph.js';
import { rewrite } from './rewrite.js';

/** The results to extract. */
export interface ExtractOptions {
  /** Outputs of the new graph, by name. Default: the graph's. */
  readonly outputs?: ReadonlyMap<string, Node>;
  /** Updates of the new graph, by parameter. Default: the graph's. */
  readonly updates?: ReadonlyMap<string, Node>;
  /**
   * Nodes to include, with the nodes they depend on, whether or not a result depends on them. Default: none.
   */
  readonly kept?: Iterable<Node>;
}

/** Makes a new graph of the nodes that the results and `kept` depend on, with their entries in `modules`. */
export function extract(
  graph: Graph,
  { outputs = graph.outputs, updates = graph.updates, kept = [] }: ExtractOptions = {},
): Graph {
  const needed = new Set<Node>([...outputs.values(), ...updates.values(), ...kept]);
  for (const node of [...graph.nodes].reverse())
    if (needed.has(node)) for (const input of node.inputs) needed.add(input);
  return rewrite(graph, (_node, _inputs, _target, copy) => copy(), { nodes: needed, outputs, updates });
}
