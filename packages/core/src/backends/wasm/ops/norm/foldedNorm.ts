/** Weights and biases with a batch normalisation folded in, for graphs that do this in every run. */
import type { Node } from '../../../../graph/graph.js';
import type { EpsAttrs } from '../../../../ops/batchNorm.js';
import { sizeOf } from '../../../../tensor/shape.js';
import { FLOAT } from '../../codegen/kernel.js';
import { biasOf, channelGroups, denseOf, type Lowering } from '../lowering.js';
import { foldBias, foldWeight } from './foldedNormKernel.js';

export const lowerFoldedWeight: Lowering<EpsAttrs> = (p, node) => {
  const [input, normWeight, normVariance] = node.inputs as [Node, Node, Node];
  const [w, weight, variance] = [denseOf(p, input), denseOf(p, normWeight), denseOf(p, normVariance)];
  const outputs = node.shape[0]!;
  const perOutput = sizeOf(node.shape) / outputs;
  const call = p.kernel(foldWeight, { eps: node.attrs.eps, perOutput });
  p.parallelFor('elementwise', outputs, (from, to) => [
    call({
      w: w.plus(from * perOutput * FLOAT),
      weight: weight.plus(from * FLOAT),
      variance: variance.plus(from * FLOAT),
      y: p.value(node).at.plus(from * perOutput * FLOAT),
      outputs: to - from,
    }),
  ]);
};

export const lowerFoldedBias: Lowering<EpsAttrs> = (p, node) => {
  const [weight, bias, mean, variance, layerBias] = node.inputs as [Node, Node, Node, Node, Node | undefined];
  const channels = node.shape[0]!;
  const call = p.kernel(foldBias, { eps: node.attrs.eps });
  p.parallelFor('elementwise', 1, () => [
    call({
      weight: p.value(weight).at,
      bias: p.value(bias).at,
      mean: p.value(mean).at,
      variance: p.value(variance).at,
      layerBias: biasOf(p, layerBias, channels),
      y: p.value(node).at,
      groups: channelGroups(channels),
    }),
  ]);
};
