/** Finds the values whose first dimension is the batch, for exports with a dynamic batch size. */
import type { Node } from '@cnn/core';
import { formatShape, type Graph, inputsOf, isInput, isOp } from '@cnn/core/graph';
import { OnnxExportError } from './errors.js';

/**
 * Returns the nodes whose first dimension is the batch.
 * @throws OnnxExportError for a node that only works for the traced batch size, with its module and op.
 */
export function batchedNodes(graph: Graph): ReadonlySet<Node> {
  const [first] = inputsOf(graph).values();
  const batch = first?.shape[0];
  const batched = new Set<Node>();
  for (const node of graph.nodes) {
    if (!isInput(node) && !node.inputs.some((input) => batched.has(input))) continue;
    if (node.shape[0] !== batch || mixesPictures(node, batched))
      throw new OnnxExportError(
        `${graph.at(node.path)}: ${node.op} to ${formatShape(node.shape)} only works for a batch of ${batch}, the size it was traced for. Export without dynamicBatch.`,
      );
    batched.add(node);
  }
  return batched;
}

/** True if a node moves values between pictures, or combines them with a constant that has a row per picture. */
function mixesPictures(node: Node, batched: ReadonlySet<Node>): boolean {
  if (isOp(node, 'concat')) return node.inputs.some((input) => !batched.has(input));
  if (isOp(node, 'slice')) return node.attrs.axis === 0;
  return elementwiseInputs(node).some((input) => !batched.has(input) && input.shape[0] !== 1);
}

/** Inputs of an element-wise operation; those of a convolution are its fused residual. */
function elementwiseInputs(node: Node): readonly Node[] {
  if (node.op === 'add' || node.op === 'mul') return node.inputs;
  return node.op === 'conv2d' ? node.inputs.slice(3) : [];
}
