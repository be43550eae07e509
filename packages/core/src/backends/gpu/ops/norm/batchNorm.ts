/** Batch normalisation, its statistics and its gradients. */
import type { BatchNormTrainAttrs, EpsAttrs, RunningAverageAttrs } from '../../../../ops/batchNorm.js';
import { type Shape, sizeOf } from '../../../../tensor/shape.js';
import { activated, literal, type Read } from '../../kernels/javascript.js';
import { elementwise, type Lowering, writeResult } from '../lowering.js';
import { reduceChannels } from '../reduce/reduce.js';

const normalised = (
  [x, weight, bias, mean, variance]: readonly Read[],
  at: readonly string[],
  eps: number,
): string => {
  const c = [at[1]!];
  return `(${x!(at)} - ${mean!(c)}) / Math.sqrt(${variance!(c)} + ${eps}) * ${weight!(c)} + ${bias!(c)}`;
};

/** y = activation((x - mean) / sqrt(variance + eps) * weight + bias), with running or batch statistics. */
export const lowerBatchNorm: Lowering<BatchNormTrainAttrs> = (context) =>
  writeResult(context, context.inputs, (read, at) =>
    activated(context.attrs.activation, normalised(read, at, context.attrs.eps)),
  );

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
  writeResult(context, context.inputs, ([dy, weight, variance], at) => ({
    value: `${dy!(at)} * ${weight!([at[1]!])} / Math.sqrt(${variance!([at[1]!])} + ${context.attrs.eps})`,
  }));

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
  writeResult(context, context.inputs, ([dy, x, weight, mean, variance, dweight, dbias], at) => {
    const c = [at[1]!];
    return {
      statements: `const deviation = Math.sqrt(${variance!(c)} + ${context.attrs.eps});
const normal = (${x!(at)} - ${mean!(c)}) / deviation;`,
      value: `${weight!(c)} / deviation * (${dy!(at)} - (${dbias!(c)} + normal * ${dweight!(c)}) / ${valuesPerChannel(context.shape)})`,
    };
  });

/** y = (1 - momentum) * average + momentum * scale * value. */
export const lowerRunningAverage: Lowering<RunningAverageAttrs> = elementwise(
  ({ momentum, scale }, [average, value]) =>
    `${literal(1 - momentum)} * ${average} + ${literal(momentum * scale)} * ${value}`,
);

/** Weight with the batch norm folded in. Inputs: w, weight, variance. */
export const lowerFoldedWeight: Lowering<EpsAttrs> = (context) =>
  writeResult(context, context.inputs, ([w, weight, variance], at) => ({
    value: `${w!(at)} * ${weight!([at[0]!])} / Math.sqrt(${variance!([at[0]!])} + ${context.attrs.eps})`,
  }));

/** Bias with the batch norm folded in. Inputs: weight, bias, mean, variance, the convolution's bias?. */
export const lowerFoldedBias: Lowering<EpsAttrs> = elementwise(
  ({ eps }, [weight, bias, mean, variance, convBias]) =>
    `${bias} + (${convBias ?? '0.0'} - ${mean}) * ${weight} / Math.sqrt(${variance} + ${eps})`,
);
