/** Weights and biases with a batch normalisation folded in, where that was not done before. */
import type { Node } from '../../../graph/graph.js';
import type { EpsAttrs } from '../../../ops/batchNorm.js';
import { sizeOf } from '../../../tensor/shape.js';
import { foldBias, foldWeight } from '../kernels/fold.js';
import { FLOAT } from '../kernels/kernel.js';
import { biasOf, channelGroups, denseOf, type Lowering } from './lowering.js';

export const lowerFoldedWeight: Lowering<EpsAttrs> = (p, node) => {
  const [w, weight, variance] = node.inputs.map((input) => denseOf(p, input));
  const outputs = node.shape[0]!;
  const perOutput = sizeOf(node.shape) / outputs;
  const kernel = p.kernel('fold weight', { eps: node.attrs.eps, perOutput }, foldWeight);
  p.algorithm('elementwise');
  p.spread(outputs, (from, to) => [
    {
      kernel,
      parameters: [
        w!.plus(from * perOutput * FLOAT),
        weight!.plus(from * FLOAT),
        variance!.plus(from * FLOAT),
        p.value(node).at.plus(from * perOutput * FLOAT),
        to - from,
      ],
    },
  ]);
};

export const lowerFoldedBias: Lowering<EpsAttrs> = (p, node) => {
  const [weight, bias, mean, variance, own] = node.inputs as [Node, Node, Node, Node, Node | undefined];
  const channels = node.shape[0]!;
  const kernel = p.kernel('fold bias', { eps: node.attrs.eps }, foldBias);
  p.algorithm('elementwise');
  p.spread(1, () => [
    {
      kernel,
      parameters: [
        ...[weight, bias, mean, variance].map((statistic) => p.value(statistic).at),
        biasOf(p, own, channels),
        p.value(node).at,
        channelGroups(channels),
      ],
    },
  ]);
};
