/** Batch normalisation, its statistics and its gradients. */
import type { BatchNormTrainAttrs, EpsAttrs } from '../../../../ops/batchNorm.js';
import * as formulas from '../../../../pointwise/batchNorm.js';
import { type Shape, sizeOf } from '../../../../tensor/shape.js';
import { activated, pointwise, type Read } from '../../kernels/javascript.js';
import { elementwise, type Lowering, writeResult } from '../lowering.js';
import { reduceChannels } from '../reduce/reduce.js';

/** y = activation((x - mean) / sqrt(variance + eps) * weight + bias), with running or batch statistics. */
export const lowerBatchNorm: Lowering<BatchNormTrainAttrs> = (context) =>
  writeResult(context, context.inputs, ([x, ...statistics], at) => {
    const [weight, bias, mean, variance] = perChannel(statistics, at[1]!);
    const { eps, activation } = context.attrs;
    const { statements, value } = pointwise(formulas.normalise(eps), {
      x: x!(at),
      weight: weight!,
      bias: bias!,
      mean: mean!,
      variance: variance!,
    });
    return activated(activation, value, statements);
  });

/** Reads vectors at a channel. */
const perChannel = (vectors: readonly Read[], channel: string): readonly string[] =>
  vectors.map((read) => read([channel]));

/** Number of values of each channel. */
const valuesPerChannel = (shape: Shape): number => sizeOf(shape) / shape[1]!;

/** y[c] = mean of x. */
export const lowerChannelMean: Lowering = (context) =>
  reduceChannels(context, context.inputs, ([x], at) => x!(at), {
    body: (_, sum) => `${sum} / ${valuesPerChannel(context.node.inputs[0]!.shape)}`,
  });

/** y[c] = mean squared distance from the mean. Inputs: x, mean. */
export const lowerChannelVariance: Lowering = (context) =>
  reduceChannels(
    context,
    context.inputs,
    ([x, mean], at, c) => `(${x!(at)} - ${mean!([c])}) * (${x!(at)} - ${mean!([c])})`,
    { body: (_, sum) => `${sum} / ${valuesPerChannel(context.node.inputs[0]!.shape)}` },
  );

/** dx with running statistics. Inputs: dy, weight, variance. */
export const lowerBatchNormGradInput: Lowering<EpsAttrs> = (context) =>
  writeResult(context, context.inputs, ([dy, ...statistics], at) => {
    const [weight, variance] = perChannel(statistics, at[1]!);
    return pointwise(formulas.normGradient(context.attrs.eps), {
      dy: dy!(at),
      weight: weight!,
      variance: variance!,
    });
  });

/** dweight. Inputs: dy, x, mean, variance. */
export const lowerBatchNormGradWeight: Lowering<EpsAttrs> = (context) => {
  const [dy, x, mean, variance] = context.inputs;
  return reduceChannels(
    context,
    [dy!, x!, mean!],
    ([readDy, readX, readMean], at, c) => `${readDy!(at)} * (${readX!(at)} - ${readMean!([c])})`,
    {
      inputs: [variance!],
      body: ([read], sum, c) => `${sum} / Math.sqrt(${read!([c])} + ${context.attrs.eps})`,
    },
  );
};

/** dx with batch statistics. Inputs: dy, x, weight, mean, variance, dweight, dbias. */
export const lowerBatchNormTrainGradInput: Lowering<EpsAttrs> = (context) =>
  writeResult(context, context.inputs, ([dy, x, ...statistics], at) => {
    const [weight, mean, variance, dweight, dbias] = perChannel(statistics, at[1]!);
    return pointwise(formulas.batchNormGradient(context.attrs.eps, valuesPerChannel(context.shape)), {
      dy: dy!(at),
      x: x!(at),
      weight: weight!,
      mean: mean!,
      variance: variance!,
      dweight: dweight!,
      dbias: dbias!,
    });
  });

/** Weight with the batch norm folded in. Inputs: w, weight, variance. */
export const lowerFoldedWeight: Lowering<EpsAttrs> = (context) =>
  writeResult(context, context.inputs, ([w, ...statistics], at) => {
    const [weight, variance] = perChannel(statistics, at[0]!);
    return pointwise(formulas.foldedWeight(context.attrs.eps), {
      w: w!(at),
      weight: weight!,
      variance: variance!,
    });
  });

/** Bias with the batch norm folded in. Inputs: weight, bias, mean, variance, the convolution's bias?. */
export const lowerFoldedBias: Lowering<EpsAttrs> = elementwise(
  ({ eps }, [weight, bias, mean, variance, layerBias = '0.0']) =>
    pointwise(formulas.foldedBias(eps), {
      weight: weight!,
      bias: bias!,
      mean: mean!,
      variance: variance!,
      layerBias,
    }),
);
