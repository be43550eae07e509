/** Input gradients of batch normalisation: affine in dy, and in x where the statistics are the batch's own. */
import type { Node } from '../../../../graph/graph.js';
import type { EpsAttrs } from '../../../../ops/batchNorm.js';
import { FLOAT, paddedChannels } from '../../codegen/kernel.js';
import { channelGroups, type Lowering, pixelsOf } from '../lowering.js';
import { onPixels, perChannel } from '../pointwise/pointwise.js';
import { normGradientCoefficients } from './normGradientKernel.js';

export const lowerBatchNormGradInput: Lowering<EpsAttrs> = (p, node) => {
  const [gradient, weight, variance] = node.inputs as [Node, Node, Node];
  const dx = pixelsOf(p, node);
  const dy = pixelsOf(p, gradient);
  const scale = p.scratch(paddedChannels(dx.c) * FLOAT);
  p.algorithm('elementwise');
  const call = p.kernel(normGradientCoefficients, { eps: node.attrs.eps });
  p.spread(1, () => [
    call({
      weight: p.value(weight).at,
      variance: p.value(variance).at,
      scale,
      groups: channelGroups(dx.c),
    }),
  ]);
  onPixels(p, 'mul', [dy, perChannel(dx, scale)], dx);
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
  const [scale, slope, shift] = [p.scratch(bytes), p.scratch(bytes), p.scratch(bytes)];
  const at = (statistic: Node) => p.value(statistic).at;
  p.algorithm('elementwise');
  const call = p.kernel(normGradientCoefficients, { eps: node.attrs.eps, pixels: dx.n * dx.h * dx.w });
  p.spread(1, () => [
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
  onPixels(p, 'affine2', [dy, x, ...constants], dx);
};
