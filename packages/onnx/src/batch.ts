/** Which values have a row per picture, so that the number of pictures may stay open. */
import { formatShape, type Graph, inputsOf, isInput, isOp, type Node } from '@cnn/core';
import { OnnxExportError } from './errors.js';

/**
 * The nodes whose first extent is the number of pictures.
 * @throws OnnxExportError that names the node which only works for the number that was traced.
 */
export function batchedNodes(graph: Graph): ReadonlySet<Node> {
  const [first] = inputsOf(graph).values();
  const pictures = first?.shape[0];
  const batched = new Set<Node>();
  for (const node of graph.nodes) {
    if (!isInput(node) && !node.inputs.some((input) => batched.has(input))) continue;
    if (node.shape[0] !== pictures || mixesPictures(node, batched))
      throw new OnnxExportError(
        `${graph.at(node.path)}: ${node.op} to ${formatShape(node.shape)} works for ${pictures} pictures only, so their number cannot stay open. Export without dynamicBatch.`,
      );
    batched.add(node);
  }
  return batched;
}

/** Whether a node moves values between pictures, or joins them with something that has a row for each. */
function mixesPictures(node: Node, batched: ReadonlySet<Node>): boolean {
  if (isOp(node, 'concat')) return node.inputs.some((input) => !batched.has(input));
  if (isOp(node, 'slice')) return node.attrs.axis === 0;
  return joined(node).some((input) => !batched.has(input) && input.shape[0] !== 1);
}

/** The inputs that are joined value by value; of a convolution that is the residual. */
function joined(node: Node): readonly Node[] {
  if (node.op === 'add' || node.op === 'mul') return node.inputs;
  return node.op === 'conv2d' ? node.inputs.slice(3) : [];
}
