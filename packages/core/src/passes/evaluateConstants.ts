/** Makes a parameter of every node that depends on parameters alone; its values are computed in float64. */
import { type Graph, isInput, isParameter, type Node, readersOf } from '../graph/graph.js';
import { copyNode, rewrite } from '../graph/rewrite.js';
import type { Values } from '../ops/define.js';
import { computeReference } from '../ops/index.js';
import { sizeOf } from '../tensor/shape.js';
import { heldWeakly, type Tensor, type Weights } from '../tensor/tensor.js';

/** A graph and the weights it needs. */
export interface Evaluated {
  readonly graph: Graph;
  readonly weights: Weights;
}

/**
 * The graph with constant nodes replaced by parameters, and the weights with those added. For programs
 * whose parameters never change. The values of those are computed when they are read and are held weakly, so that
 * a back end which packs weights one by one never holds all of them twice: the weights that were given must
 * stay as they are until then.
 */
export function evaluateConstants(graph: Graph, weights: Weights): Evaluated {
  const constant = new Set<Node>();
  for (const node of graph.nodes)
    if (isParameter(node) || (!isInput(node) && node.inputs.every((input) => constant.has(input))))
      constant.add(node);
  // Only constants that something non-constant reads are wanted as values.
  const wanted = new Set<Node>(graph.outputs.values());
  for (const node of graph.nodes) if (!constant.has(node)) for (const input of node.inputs) wanted.add(input);

  // What is read on the way to several values is computed once for all of them; anything else is not kept.
  const shared = new Map<Node, () => Values>();
  for (const [node, readers] of readersOf(graph)) {
    const onTheWay = readers.filter((reader) => constant.has(reader)).length;
    if (constant.has(node) && !isParameter(node) && onTheWay > (wanted.has(node) ? 0 : 1))
      shared.set(
        node,
        heldWeakly(() => compute(node)),
      );
  }
  const evaluate = (node: Node): Values => {
    if (!isParameter(node)) return shared.get(node)?.() ?? compute(node);
    const value = weights.get(node.attrs.name);
    if (!value) throw new Error(`${graph.at('')}: there is no weight called ${node.attrs.name}.`);
    return value.data;
  };
  const compute = (node: Node): Values =>
    computeReference(node, evaluate, new Float64Array(sizeOf(node.shape)));
  // One buffer for all results on their way to float32: garbage of 8 bytes a weight would add up until it is collected.
  let room = new Float64Array(0);
  const evaluateOnce = (node: Node): Float32Array => {
    if (shared.has(node)) return new Float32Array(evaluate(node));
    const size = sizeOf(node.shape);
    if (room.length < size) room = new Float64Array(size);
    // Not `from`, which goes through an iterator.
    return new Float32Array(computeReference(node, evaluate, room.subarray(0, size).fill(0)));
  };
  const computedWhenRead = (node: Node): Tensor => {
    const data = heldWeakly(() => evaluateOnce(node));
    return {
      shape: node.shape,
      get data() {
        return data();
      },
    };
  };
  const result: Weights = new Map();
  const rewritten = rewrite(graph, (node, inputs, target, copy) => {
    if (!constant.has(node) || isParameter(node)) return copy();
    if (!wanted.has(node)) return copyNode(node, inputs, target);
    const name = `${node.path}:${node.op}:${result.size}`;
    result.set(name, computedWhenRead(node));
    return target.parameter(name, node.shape, false);
  });
  for (const [name, value] of weights) result.set(name, value);
  return { graph: rewritten, weights: result };
}
