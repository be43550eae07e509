/**
 * Folds batch norms into the convolution or linear layer before them. The folded weights are nodes that
 * depend on parameters only; `evaluateConstants` computes their values.
 */
import { type Graph, type Node, readersOf } from '../graph/graph.js';
import { rewrite } from '../graph/rewrite.js';
import { foldedBiasOp, foldedWeightOp } from '../ops/batchNorm.js';
import { conv2dOp } from '../ops/conv2d.js';
import { emit } from '../ops/define.js';
import { isOp } from '../ops/index.js';
import { linearOp } from '../ops/linear.js';

/** Folds every batch norm that is the only reader of a convolution or linear layer without an activation. */
export function foldBatchNorm(graph: Graph): Graph {
  const readers = readersOf(graph);
  const outputs = new Set(graph.outputs.values());
  return rewrite(graph, (node, inputs, _, copy) => {
    if (!isOp(node, 'batchNorm')) return copy();
    const layer = inputs[0]!;
    const source = node.inputs[0]!;
    if (readers.get(source)?.length !== 1 || outputs.has(source)) return copy();
    const [, weight, bias, mean, variance] = inputs as [Node, Node, Node, Node, Node];
    const [x, w, own] = layer.inputs as [Node, Node, Node | undefined];
    const { eps, activation } = node.attrs;
    const after = activation && { activation };
    const folded = (): [Node, Node, Node] => [
      x,
      emit(foldedWeightOp, [w, weight, variance], { eps }, layer.path),
      emit(
        foldedBiasOp,
        own ? [weight, bias, mean, variance, own] : [weight, bias, mean, variance],
        { eps },
        layer.path,
      ),
    ];
    if (isOp(layer, 'conv2d') && !layer.attrs.activation && !layer.attrs.residual)
      return emit(conv2dOp, folded(), { ...layer.attrs, ...after }, layer.path);
    if (isOp(layer, 'linear') && !layer.attrs.activation)
      return emit(linearOp, folded(), { ...layer.attrs, ...after }, layer.path);
    return copy();
  });
}
