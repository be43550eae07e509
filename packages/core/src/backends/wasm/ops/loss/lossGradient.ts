/** Gradients of classification losses. */
import type { Node } from '../../../../graph/graph.js';
import type { CrossEntropyAttrs, NllLossAttrs } from '../../../../ops/loss.js';
import { FLOAT } from '../../codegen/kernel.js';
import type { LoweringContext } from '../../schedule/context.js';
import { type Lowering, pixelsOf } from '../lowering.js';
import { prepareLoss } from './loss.js';
import { lossGradient } from './lossGradientKernel.js';

export const lowerCrossEntropyGrad: Lowering<CrossEntropyAttrs> = (p, node) =>
  lowerLossGradient(p, node, true, node.attrs);

export const lowerNllLossGrad: Lowering<NllLossAttrs> = (p, node) =>
  lowerLossGradient(p, node, false, { ...node.attrs, labelSmoothing: 0 });

function lowerLossGradient(p: LoweringContext, node: Node, logits: boolean, attrs: CrossEntropyAttrs): void {
  const [upstream, ...inputs] = node.inputs as [Node, ...Node[]];
  const { shape, rows, x, common, labels, labelWeights } = prepareLoss(p, inputs, logits, attrs);
  const dx = pixelsOf(p, node);
  const dloss = p.value(upstream).at;
  const dlossStride = attrs.reduction === 'none' ? FLOAT : 0;
  const call = p.kernel(lossGradient, { ...shape, dx: dx.imageStride });
  p.parallelFor('loss', rows, (from, to) => [
    call({
      ...common,
      dloss: dloss.plus(from * dlossStride),
      x: x.at.plus(from * x.imageStride),
      labels: labels.plus(from * FLOAT),
      labelWeights: labelWeights.plus(from * FLOAT),
      dx: dx.at.plus(from * dx.imageStride),
      rows: to - from,
      dlossStride,
    }),
  ]);
}
