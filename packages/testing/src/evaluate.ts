/** Evaluates a graph in float64 from end to end; the reference back end rounds results to float32. */
import { type Node, sizeOf } from '@cnn/core';
import { computeReference, type Graph, isInput, type Values } from '@cnn/core/graph';

/** Returns the values of all nodes of a graph in float64. @param feeds - values of the inputs by name. */
export function evaluate(graph: Graph, feeds: ReadonlyMap<string, Values>): ReadonlyMap<Node, Values> {
  const values = new Map<Node, Values>();
  for (const node of graph.nodes) {
    if (isInput(node)) {
      values.set(node, feeds.get(node.attrs.name)!);
      continue;
    }
    const output = new Float64Array(sizeOf(node.shape));
    values.set(
      node,
      computeReference(node, (input) => values.get(input)!, output),
    );
  }
  return values;
}
