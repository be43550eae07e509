/** Describes nodes for profiles. */
import { isInput, isParameter, type Node } from '../../graph/graph.js';
import { definitionOf } from '../../ops/index.js';
import type { ProfileStep } from '../backend.js';

/** Counts the floating-point operations of a node. */
export const flopsOf = (node: Node): number =>
  isInput(node) || isParameter(node)
    ? 0
    : definitionOf(node).flops(
        node.inputs.map((input) => input.shape),
        node.shape,
        node.attrs,
      );

/** Writes an op with those fused into it: `conv2d + add + relu`. */
export function describe(node: Node): string {
  const { residual, activation } = node.attrs as {
    readonly residual?: boolean;
    readonly activation?: { readonly fn: string };
  };
  return [node.op, ...(residual ? ['add'] : []), ...(activation ? [activation.fn] : [])].join(' + ');
}

/** Makes the profile step of one node. */
export const stepOf = (node: Node, algorithm: string, milliseconds: number): ProfileStep => ({
  path: node.path,
  op: describe(node),
  algorithm,
  milliseconds,
  flops: flopsOf(node),
});
