/** Input gradients of batch normalisation: affine in dy, and also in x if the statistics are those of the batch. */
import type { Node } from '../../../../graph/graph.js';
import type { EpsAttrs } from '../../../../ops/batchNorm.js';
import { FLOAT, paddedChannels } from '../../codegen/kernel.js';
import { channelGroups, type Lowering, pixelsOf } from '../lowering.js';
import { perChannel, pointwisePhase } from '../pointwise/pointwise.js';
import { normGradientCoefficients } from './batchNormGradientKernel.js';

export const lowerBatchNormGradInput: Lowering<EpsAttrs> = (p, node) => {
  const [gradient, weight, variance] = node.inputs as [Node, Node, Node];
  const dx = pixelsOf(p, node);
  const dy = pixelsOf(p, gradient);
  const scale = p.workspace(paddedChannels(dx.c) * FLOAT);
  const call = p.kernel(normGradientCoefficients, { eps: node.attrs.eps });
  p.parallelFor('elementwise', 1, () => [
    call({
      weight: p.value(weight).at,
      variance: p.value(variance).at,
      scale,
      groups: channelGroups(dx.c),
    }),
  ]);
  pointwisePhase(p, 'mul', [dy, perChannel(dx, scale)], dx);
};

export const lowerBatchNormTrainGradInput: Lowering<EpsAttrs> = (p, node) => {
  const [gradient, input, weight, mean, variance, dweight, dbias] = node.inputs as [
    Node,
    Node,
    Node,
    Node,
    Node,
    Node,
    Node,
  ];
  const [dy, x, dx] = [pixelsOf(p, gradient), pixelsOf(p, input), pixelsOf(p, node)];
  const bytes = paddedChannels(dx.c) * FLOAT;
  const [scale, slope, shift] = [p.workspace(bytes), p.workspace(bytes), p.workspace(bytes)];
  const at = (statistic: Node) => p.value(statistic).at;
  const call = p.kernel(normGradientCoefficients, { eps: node.attrs.eps, pixels: dx.n * dx.h * dx.w });
  p.parallelFor('elementwise', 1, () => [
    call({
      weight: at(weight),
      variance: at(variance),
      scale,
      mean: at(mean),
      dweight: at(dweight),
      dbias: at(dbias),
      slope,
      shift,
      groups: channelGroups(dx.c),
    }),
  ]);
  const constants = [scale, slope, shift].map((pointer) => perChannel(dx, pointer));
  pointwisePhase(p, 'affine2', [dy, x, ...constants], dx);
};
