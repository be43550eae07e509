/** Reverse-mode differentiation without a tape: one rule per op appends the nodes of its gradients. */
import { ShapeError } from '../errors.js';
import type { Node } from '../graph/graph.js';
import { add } from '../ops/arithmetic.js';
import { fill } from '../ops/fill.js';
import { definitionOf } from '../ops/index.js';
import { formatShape, sameShape } from '../tensor/shape.js';

/**
 * Differentiates `y` with respect to each target; appends the gradients to the graph of `y`.
 * @param upstream - gradient with respect to `y`, of its shape. Default 1, for a scalar loss.
 * @returns a node per target; targets that `y` does not depend on are absent.
 * @throws ShapeError for an upstream gradient of another shape.
 * @throws Error with the module's path for an op between `y` and a target that has no gradient.
 */
export function differentiate(y: Node, targets: readonly Node[], upstream?: Node): ReadonlyMap<Node, Node> {
  const { graph } = y;
  if (upstream && !sameShape(upstream.shape, y.shape))
    throw new ShapeError(
      `${graph.at(y.path)}: the upstream gradient of ${y.op} has the shape ${formatShape(y.shape)}, got ${formatShape(upstream.shape)}.`,
    );
  const forward = graph.nodes.slice(0, graph.nodes.indexOf(y) + 1);
  const varies = new Set<Node>(targets);
  for (const node of forward) if (node.inputs.some((input) => varies.has(input))) varies.add(node);

  const gradients = new Map<Node, Node>([[y, upstream ?? fill(graph, 1, y.shape)]]);
  for (const node of forward.reverse()) {
    const gradient = gradients.get(node);
    if (!gradient || !varies.has(node) || node.inputs.length === 0) continue;
    const definition = definitionOf(node);
    if (typeof definition.gradient === 'string')
      throw new Error(`${graph.at(node.path)}: ${node.op} cannot be differentiated: ${definition.gradient}.`);
    for (const [index, part] of definition.gradient(node, gradient).entries()) {
      const input = node.inputs[index]!;
      if (!part || !varies.has(input)) continue;
      const sum = gradients.get(input);
      gradients.set(input, sum ? add(sum, part) : part);
    }
  }
  return new Map(
    targets.flatMap((target) => (gradients.has(target) ? [[target, gradients.get(target)!]] : [])),
  );
}
