/** Drops every node that no output and no update needs. Inputs stay, so that a run's feeds stay the same. */
import { Graph, isInput, type Node } from '../graph/graph.js';
import { copyNode } from '../graph/rewrite.js';

/** The nodes that outputs and updates are computed from. */
export function reachable(graph: Graph): ReadonlySet<Node> {
  const needed = new Set<Node>([...graph.outputs.values(), ...graph.updates.values()]);
  for (const node of [...graph.nodes].reverse())
    if (needed.has(node)) for (const input of node.inputs) needed.add(input);
  return needed;
}

/** The same graph without dead nodes; of the module outputs, those that are left. */
export function prune(graph: Graph): Graph {
  const needed = reachable(graph);
  const target = new Graph({ name: graph.name, mode: graph.mode });
  const became = new Map<Node, Node>();
  for (const node of graph.nodes)
    if (needed.has(node) || isInput(node))
      became.set(
        node,
        copyNode(
          node,
          node.inputs.map((input) => became.get(input)!),
          target,
        ),
      );
  for (const [name, node] of graph.outputs) target.outputs.set(name, became.get(node)!);
  for (const [name, node] of graph.updates) target.updates.set(name, became.get(node)!);
  for (const [path, node] of graph.modules) {
    const image = became.get(node);
    if (image) target.modules.set(path, image);
  }
  return target;
}
