/**
 * Makes a graph from a graph: visits the nodes in order and replaces each. All passes are written with it.
 */
import { Graph, isInput, isParameter, type Node } from './graph.js';

/**
 * Replaces a node: gives a node of `target` with the node's value. `inputs` are the replacements of its
 * inputs; `copy()` copies the node with these.
 */
export type Rewriter = (node: Node, inputs: readonly Node[], target: Graph, copy: () => Node) => Node;

/** Copies a node to another graph, with the given inputs. */
export function copyNode(node: Node, inputs: readonly Node[], target: Graph): Node {
  if (isInput(node)) return target.input(node.attrs.name, node.shape);
  if (isParameter(node)) return target.parameter(node.attrs.name, node.shape, node.attrs.trainable);
  return target.add(node.op, inputs, node.attrs, node.shape, node.path);
}

/** Options of {@link rewrite}. */
export interface RewriteOptions {
  /** The nodes to visit, which must include their inputs. Default: all. */
  readonly nodes?: ReadonlySet<Node>;
  /** Nodes whose replacements become the outputs of the new graph, by name. Default: the graph's outputs. */
  readonly outputs?: ReadonlyMap<string, Node>;
  /**
   * Nodes whose replacements become the updates of the new graph, by parameter. Default: the graph's updates.
   */
  readonly updates?: ReadonlyMap<string, Node>;
}

/**
 * Makes a new graph of the replacements of all nodes; outputs, updates and modules refer to the replacements.
 */
export function rewrite(
  graph: Graph,
  rewriter: Rewriter,
  { nodes, outputs = graph.outputs, updates = graph.updates }: RewriteOptions = {},
): Graph {
  const target = new Graph({ name: graph.name, mode: graph.mode });
  const became = new Map<Node, Node>();
  const follow = (node: Node): Node => {
    const image = became.get(node);
    if (!image) throw new Error(`${graph.at(node.path)}: ${node.op} is used before it is computed.`);
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
