/**
 * Fuses nodes that one kernel can compute: an activation and a residual sum into the layer before, zero
 * padding into the convolution after. The fused node reads and writes memory once. A training step is fused
 * after it has been differentiated.
 */
import { type Graph, type Node, readersOf } from '../graph/graph.js';
import { rewrite } from '../graph/rewrite.js';
import type { Activation } from '../ops/activation.js';
import { conv2dOp } from '../ops/conv2d.js';
import { emit } from '../ops/define.js';
import { findDefinition, isOp } from '../ops/index.js';
import type { Padding } from '../ops/window.js';

type Inputs = [Node, ...Node[]];

/** Emits the node with a fused activation; undefined if its op has none or the node already has one. */
function withActivation(node: Node, activation: Activation): Node | undefined {
  const definition = findDefinition(node);
  const present = (node.attrs as { readonly activation?: Activation }).activation;
  if (!definition?.fusesActivation || present) return undefined;
  return emit(definition, node.inputs as Inputs, { ...node.attrs, activation }, node.path);
}

/** Emits the convolution with a fused residual sum; undefined for other nodes, and for one without bias. */
function withResidual(node: Node, residual: Node): Node | undefined {
  if (!isOp(node, 'conv2d') || node.attrs.activation || node.attrs.residual) return undefined;
  const [x, w, bias] = node.inputs as [Node, Node, Node | undefined];
  if (!bias) return undefined;
  return emit(conv2dOp, [x, w, bias, residual], { ...node.attrs, residual: true }, node.path);
}

/** Makes a graph of fewer nodes with the same outputs and updates. */
export function fuse(graph: Graph): Graph {
  const readers = readersOf(graph);
  const outputs = new Set([...graph.outputs.values(), ...graph.updates.values()]);
  const free = (node: Node): boolean => readers.get(node)?.length === 1 && !outputs.has(node);
  return rewrite(graph, (node, inputs, _, copy) => {
    const [first, second] = inputs as [Node, Node];
    if (isOp(node, 'activation') && free(node.inputs[0]!)) return withActivation(first, node.attrs) ?? copy();
    if (isOp(node, 'add') && !node.attrs.activation) {
      const [a, b] = node.inputs as [Node, Node];
      return (free(b) && withResidual(second, first)) || (free(a) && withResidual(first, second)) || copy();
    }
    if (isOp(node, 'conv2d') && isOp(first, 'pad') && free(node.inputs[0]!)) {
      const { before, after } = first.attrs;
      if (before[0] || before[1] || after[0] || after[1]) return copy();
      const [top, left, bottom, right] = node.attrs.padding;
      const padding: Padding = [top + before[2]!, left + before[3]!, bottom + after[2]!, right + after[3]!];
      return emit(conv2dOp, [first.inputs[0]!, ...inputs.slice(1)], { ...node.attrs, padding }, node.path);
    }
    return copy();
  });
}
