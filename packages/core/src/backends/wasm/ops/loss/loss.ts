/** Classification losses: cross entropy of logits, negative log likelihood of log probabilities. */
import type { Node } from '../../../../graph/graph.js';
import { type CrossEntropyAttrs, type NllLossAttrs, requireLabels } from '../../../../ops/loss.js';
import { FLOAT } from '../../codegen/kernel.js';
import type { Pixels } from '../../memory/layout.js';
import type { Pointer } from '../../memory/region.js';
import type { LoweringContext } from '../../schedule/context.js';
import { type Lowering, pixelsOf } from '../lowering.js';
import { fillClassIndices, type LossShape, labelWeights, rowLosses, sumRows } from './lossKernel.js';

export const lowerCrossEntropy: Lowering<CrossEntropyAttrs> = (p, node) =>
  lowerLoss(p, node, true, node.attrs);

export const lowerNllLoss: Lowering<NllLossAttrs> = (p, node) =>
  lowerLoss(p, node, false, { ...node.attrs, labelSmoothing: 0 });

/** Operands of the kernels of a loss and of its gradient. */
interface LossOperands {
  readonly shape: LossShape;
  readonly rows: number;
  readonly x: Pixels;
  /** Addresses that are the same for all rows. */
  readonly common: {
    readonly classWeights?: Pointer;
    readonly classIndices: Pointer;
    /** The sum of the label weights for a mean, else 1. */
    readonly divisor: Pointer;
  };
  readonly labels: Pointer;
  /** The class weight of each row's label. */
  readonly labelWeights: Pointer;
}

/**
 * Adds the phases that compute label weights and divisor, and the host's check of the labels.
 * @param inputs - x, labels and, if there are any, class weights.
 */
export function prepareLoss(
  p: LoweringContext,
  inputs: readonly Node[],
  logits: boolean,
  { reduction, labelSmoothing }: CrossEntropyAttrs,
): LossOperands {
  const [input, labelsNode, weightsNode] = inputs as [Node, Node, Node | undefined];
  const [rows, classes] = input.shape as [number, number];
  p.addHostCheck(labelsNode, (data) => requireLabels(data, classes));
  const x = pixelsOf(p, input);
  const labels = p.value(labelsNode).at;
  const classWeights = weightsNode ? p.value(weightsNode).at : undefined;
  const classIndices = p.addConstant(classes, fillClassIndices);
  const weighted = weightsNode !== undefined;
  const results = p.workspace(rows * FLOAT);
  const call = p.kernel(labelWeights, { classes, weighted });
  p.parallelFor('loss', rows, (from, to) => [
    call({
      labels: labels.plus(from * FLOAT),
      classWeights,
      classIndices,
      results: results.plus(from * FLOAT),
      rows: to - from,
    }),
  ]);
  let divisor = p.addConstant(1, (target) => target.fill(1));
  if (reduction === 'mean') {
    divisor = p.workspace(FLOAT);
    const add = p.kernel(sumRows, { rows });
    p.parallelFor('loss', 1, () => [add({ values: results, sum: divisor })]);
  }
  const shape = { classes, logits, labelSmoothing, weighted, row: x.imageStride };
  const common = { classWeights, classIndices, divisor };
  return { shape, rows, x, common, labels, labelWeights: results };
}

function lowerLoss(p: LoweringContext, node: Node, logits: boolean, attrs: CrossEntropyAttrs): void {
  const { shape, rows, x, common, ...perRow } = prepareLoss(p, node.inputs, logits, attrs);
  const y = p.value(node).at;
  const losses = attrs.reduction === 'none' ? y : p.workspace(rows * FLOAT);
  const call = p.kernel(rowLosses, shape);
  p.parallelFor('loss', rows, (from, to) => [
    call({
      ...common,
      x: x.at.plus(from * x.imageStride),
      labels: perRow.labels.plus(from * FLOAT),
      labelWeights: perRow.labelWeights.plus(from * FLOAT),
      losses: losses.plus(from * FLOAT),
      rows: to - from,
    }),
  ]);
  if (attrs.reduction === 'none') return;
  const add = p.kernel(sumRows, { rows });
  p.parallelFor('loss', 1, () => [add({ values: losses, sum: y })]);
}
