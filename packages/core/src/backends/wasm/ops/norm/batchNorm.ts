/** Batch normalisation by given statistics, as a per-channel scale and shift. */
import type { Node } from '../../../../graph/graph.js';
import type { BatchNormTrainAttrs, EpsAttrs } from '../../../../ops/batchNorm.js';
import { normCoefficients as coefficients } from '../../../../pointwise/batchNorm.js';
import { evaluate } from '../../../../pointwise/evaluate.js';
import { FLOAT, paddedChannels } from '../../codegen/kernel.js';
import type { Pointer } from '../../memory/region.js';
import type { LoweringContext } from '../../schedule/context.js';
import { channelGroups, type Lowering, pixelsOf } from '../lowering.js';
import { perChannel, pointwisePhase } from '../pointwise/pointwise.js';
import { normCoefficients } from './batchNormKernel.js';

/** Per-channel coefficients of a normalisation: y = x * scale + shift. */
interface NormCoefficients {
  readonly scale: Pointer;
  readonly shift: Pointer;
}

/** Computes coefficients once, if all four statistics are constant; returns undefined otherwise. */
export function constantCoefficients(p: LoweringContext, node: Node<EpsAttrs>): NormCoefficients | undefined {
  const statistics = node.inputs.slice(1).map((statistic) => p.constantValue(statistic)?.data);
  const [weight, bias, mean, variance] = statistics;
  if (!weight || !bias || !mean || !variance) return undefined;
  const floats = paddedChannels(weight.length);
  const formulas = coefficients(node.attrs.eps);
  const inputs = { weight, bias, mean, variance };
  const scale = p.addConstant(2 * floats, (target) => {
    evaluate(formulas.scale, inputs, target.subarray(0, weight.length));
    evaluate(formulas.shift, inputs, target.subarray(floats, floats + weight.length));
  });
  return { scale, shift: scale.plus(floats * FLOAT) };
}

/** Adds a phase that computes the coefficients in every run. */
function coefficientsPhase(p: LoweringContext, node: Node<EpsAttrs>): NormCoefficients {
  const channels = node.shape[1]!;
  const bytes = paddedChannels(channels) * FLOAT;
  const [scale, shift] = [p.workspace(bytes), p.workspace(bytes)];
  const [, weight, bias, mean, variance] = node.inputs as [Node, Node, Node, Node, Node];
  const call = p.kernel(normCoefficients, { eps: node.attrs.eps });
  p.parallelFor('elementwise', 1, () => [
    call({
      weight: p.value(weight).at,
      bias: p.value(bias).at,
      mean: p.value(mean).at,
      variance: p.value(variance).at,
      scale,
      shift,
      groups: channelGroups(channels),
    }),
  ]);
  return { scale, shift };
}

/** y = x * scale + shift, with scale and shift computed from the statistics first. */
export const lowerBatchNorm: Lowering<BatchNormTrainAttrs> = (p, node) => {
  const [x] = node.inputs as [Node];
  const y = pixelsOf(p, node);
  const { scale, shift } = constantCoefficients(p, node) ?? coefficientsPhase(p, node);
  const operands = [pixelsOf(p, x), perChannel(y, scale), perChannel(y, shift)];
  pointwisePhase(p, 'affine', operands, y, node.attrs.activation);
};
