/** Makes a parameter of every node that depends on parameters alone; its values are computed in float64. */
import { type Graph, isInput, isParameter, type Node, readersOf } from '../graph/graph.js';
import { rewrite } from '../graph/rewrite.js';
import { weightOf } from '../graph/weightOf.js';
import type { Values } from '../ops/define.js';
import { computeReference, definitionOf } from '../ops/index.js';
import { type Shape, sizeOf } from '../tensor/shape.js';
import { type LazyTensor, type Tensor, valuesOf, type Weights, weaklyCached } from '../tensor/tensor.js';
import { prune } from './prune.js';

/** Values of a buffer for some rows that is used again and again; for more there is a new one each time. */
const MOST_KEPT = 2 ** 17;

/** A graph and the weights it needs. */
export interface Evaluated {
  readonly graph: Graph;
  readonly weights: Weights;
}

/**
 * The graph with constant nodes replaced by parameters, without those that then are dead, and the weights with the new
 * parameters added. For programs
 * whose parameters never change. The values of those are computed when they are read, some rows at a time where the
 * op allows it, and all of them are held weakly, so that a back end which packs weights one by one never holds all
 * weights twice: those that were given must stay as they are until then.
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
        weaklyCached(() => compute(node)),
      );
  }
  const evaluate = (node: Node): Values =>
    isParameter(node) ? weightOf(node, weights).data : (shared.get(node)?.() ?? compute(node));
  const compute = (node: Node): Values =>
    computeReference(node, evaluate, new Float64Array(sizeOf(node.shape)));
  // One buffer for all results on their way to float32: garbage of 8 bytes a weight would add up until it is
  // collected.
  let room = new Float64Array(0);
  const evaluateOnce = (node: Node): Float32Array => {
    if (shared.has(node)) return new Float32Array(evaluate(node));
    const size = sizeOf(node.shape);
    if (room.length < size) room = new Float64Array(size);
    // Not `from`, which goes through an iterator.
    return new Float32Array(computeReference(node, evaluate, room.subarray(0, size).fill(0)));
  };
  const rows = new Float32Array(MOST_KEPT);
  /**
   * Rows of a node whose inputs are parameters. Straight to float32: what is written once is rounded once.
   */
  function computeRows(node: Node, from: number, to: number): Float32Array {
    const rowsOf = ({ shape }: Node): Shape => [to - from, ...shape.slice(1)];
    const shape = rowsOf(node);
    const size = sizeOf(shape);
    const output = size <= MOST_KEPT ? rows.subarray(0, size) : new Float32Array(size);
    definitionOf(node).reference({
      inputs: node.inputs.filter(isParameter).map((input) => {
        const row = sizeOf(input.shape.slice(1));
        // At most one input is more than a vector, and so is read by parts.
        return input.shape.length === 1
          ? weightOf(input, weights).data.subarray(from, to)
          : valuesOf(weightOf(input, weights), from * row, to * row);
      }),
      shapes: node.inputs.map(rowsOf),
      attrs: node.attrs,
      output,
      shape,
    });
    return output;
  }
  function computedWhenRead(node: Node): Tensor {
    const { shape } = node;
    const data = weaklyCached(() => evaluateOnce(node));
    const whole: Tensor = {
      shape,
      get data() {
        return data();
      },
    };
    if (!definitionOf(node).byRows || !node.inputs.every(isParameter) || shared.has(node)) return whole;
    const row = sizeOf(shape.slice(1));
    const read: LazyTensor['read'] = (first, end) => {
      const from = Math.floor(first / row);
      return computeRows(node, from, Math.ceil(end / row)).subarray(first - from * row, end - from * row);
    };
    return Object.assign(whole, { read });
  }
  const result: Weights = new Map();
  const rewritten = rewrite(graph, (node, _inputs, target, copy) => {
    if (!constant.has(node) || isParameter(node) || !wanted.has(node)) return copy();
    const name = `${node.path}:${node.op}:${result.size}`;
    result.set(name, computedWhenRead(node));
    return target.parameter(name, node.shape, false);
  });
  for (const [name, value] of weights) result.set(name, value);
  return { graph: prune(rewritten), weights: result };
}
