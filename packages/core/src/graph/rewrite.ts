/** The one way to make a graph from a graph: visit the nodes in order and say what each becomes. */
import { Graph, isInput, isParameter, type Node } from './graph.js';

/** Gives what `node` becomes in `target`; `inputs` are what its inputs became. `copy` keeps it as it is. */
export type Rewriter = (node: Node, inputs: readonly Node[], target: Graph, copy: () => Node) => Node;

/** The same node in another graph. */
export function copyNode(node: Node, inputs: readonly Node[], target: Graph): Node {
  if (isInput(node)) return target.input(node.attrs.name, node.shape);
  if (isParameter(node)) return target.parameter(node.attrs.name, node.shape, node.attrs.trainable);
  return target.add(node.op, inputs, node.attrs, node.shape, node.path);
}

/** The part of a graph that is rewritten. */
export interface RewriteOptions {
  /** The nodes to visit; with a node its inputs are among them. Default: all. */
  readonly nodes?: ReadonlySet<Node>;
  /** The results that the new graph has. Default: the graph's outputs and updates. */
  readonly outputs?: ReadonlyMap<string, Node>;
  readonly updates?: ReadonlyMap<string, Node>;
}

/** A new graph in which every node is what `rewriter` made of it; outputs, updates and modules follow along. */
export function rewrite(
  graph: Graph,
  rewriter: Rewriter,
  { nodes, outputs = graph.outputs, updates = graph.updates }: RewriteOptions = {},
): Graph {
  const target = new Graph({ name: graph.name, mode: graph.mode });
  const became = new Map<Node, Node>();
  const follow = (node: Node): Node => {
    const image = became.get(node);
    if (!image) throw new Error(`${graph.at(node.path)}: ${node.op} is used before it stands in the graph.`);
    return image;
  };
  for (const node of graph.nodes) {
    if (nodes && !nodes.has(node)) continue;
    const inputs = node.inputs.map(follow);
    became.set(
      node,
      rewriter(node, inputs, target, () => copyNode(node, inputs, target)),
    );
  }
  for (const [name, node] of outputs) target.outputs.set(name, follow(node));
  for (const [name, node] of updates) target.updates.set(name, follow(node));
  for (const [path, node] of graph.modules)
    if (!nodes || nodes.has(node)) target.modules.set(path, follow(node));
  return target;
}
