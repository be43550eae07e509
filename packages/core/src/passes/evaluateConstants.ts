/** Replaces constants, the nodes that depend on parameters only, by parameters. Computes them in float64. */
import { type Graph, isInput, isParameter, type Node, readersOf } from '../graph/graph.js';
import { rewrite } from '../graph/rewrite.js';
import { weightOf } from '../graph/weightOf.js';
import type { Values } from '../ops/define.js';
import { computeReference, definitionOf } from '../ops/index.js';
import { type Shape, sizeOf } from '../tensor/shape.js';
import { type LazyTensor, valuesOf, type Weights, weaklyCached } from '../tensor/tensor.js';
import { prune } from './prune.js';

/** Size, in values, of the buffer for rows, which is reused by every read; larger reads get a new array. */
const ROW_BUFFER_VALUES = 2 ** 17;

/** A graph and the weights of its parameters. */
export interface Evaluated {
  readonly graph: Graph;
  readonly weights: Weights;
}

/**
 * Replaces constants by new parameters, and removes the nodes that are dead then. For programs without
 * updates. The new weights are lazy: their values are computed when a back end reads them, row by row if the
 * op allows it, and cached weakly. A back end that packs weights one by one then never holds all of them
 * twice.
 * @param weights - weights of the graph. Do not modify them until the back end has compiled the result.
 * @returns the new graph, and its weights together with the given ones.
 */
export function evaluateConstants(graph: Graph, weights: Weights): Evaluated {
  const constant = new Set<Node>();
  for (const node of graph.nodes)
    if (isParameter(node) || (!isInput(node) && node.inputs.every((input) => constant.has(input))))
      constant.add(node);
  // The values of outputs and of the inputs of non-constant nodes are needed.
  const wanted = new Set<Node>(graph.outputs.values());
  for (const node of graph.nodes) if (!constant.has(node)) for (const input of node.inputs) wanted.add(input);

  // A constant that two or more constants read is cached weakly; if its value is needed, one such reader is enough.
  // No other constant is cached.
  const shared = new Map<Node, () => Values>();
  for (const [node, readers] of readersOf(graph)) {
    const constantReaders = readers.filter((reader) => constant.has(reader)).length;
    if (constant.has(node) && !isParameter(node) && constantReaders > (wanted.has(node) ? 0 : 1))
      shared.set(
        node,
        weaklyCached(() => compute(node)),
      );
  }
  const evaluate = (node: Node): Values =>
    isParameter(node) ? weightOf(node, weights).data : (shared.get(node)?.() ?? compute(node));
  const compute = (node: Node): Values =>
    computeReference(node, evaluate, new Float64Array(sizeOf(node.shape)));
  // Reuses one buffer for all float64 results: separate ones would be 8 bytes of garbage per weight.
  let buffer = new Float64Array(0);
  const evaluateOnce = (node: Node): Float32Array => {
    if (shared.has(node)) return new Float32Array(evaluate(node));
    const size = sizeOf(node.shape);
    if (buffer.length < size) buffer = new Float64Array(size);
    // Not Float32Array.from, which uses an iterator.
    return new Float32Array(computeReference(node, evaluate, buffer.subarray(0, size).fill(0)));
  };
  const rows = new Float32Array(ROW_BUFFER_VALUES);
  /**
   * Computes rows `from` to `to - 1` of a node whose inputs are parameters, valid until the next call. Writes
   * float32 directly: a `byRows` op writes each value once, so that it is rounded once.
   */
  function computeRows(node: Node, from: number, to: number): Float32Array {
    const rowsOf = ({ shape }: Node): Shape => [to - from, ...shape.slice(1)];
    const shape = rowsOf(node);
    const size = sizeOf(shape);
    const output = size <= ROW_BUFFER_VALUES ? rows.subarray(0, size) : new Float32Array(size);
    definitionOf(node).reference({
      inputs: node.inputs.filter(isParameter).map((input) => {
        const row = sizeOf(input.shape.slice(1));
        // At most one input has more than one dimension, and is read by range: the ranges share a buffer.
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
  function lazyTensorOf(node: Node): LazyTensor {
    const { shape } = node;
    const data = weaklyCached(() => evaluateOnce(node));
    const byRows = definitionOf(node).byRows && node.inputs.every(isParameter) && !shared.has(node);
    const row = sizeOf(shape.slice(1));
    return {
      shape,
      get data() {
        return data();
      },
      read(first, end) {
        if (!byRows) return data().subarray(first, end);
        const from = Math.floor(first / row);
        return computeRows(node, from, Math.ceil(end / row)).subarray(first - from * row, end - from * row);
      },
    };
  }
  const result: Weights = new Map();
  const rewritten = rewrite(graph, (node, _inputs, target, copy) => {
    if (!constant.has(node) || isParameter(node) || !wanted.has(node)) return copy();
    const name = `${node.path}:${node.op}:${result.size}`;
    result.set(name, lazyTensorOf(node));
    return target.parameter(name, node.shape, false);
  });
  for (const [name, value] of weights) result.set(name, value);
  return { graph: prune(rewritten), weights: result };
}
