/** Batch normalisation, its statistics and its gradients. */
import type { BatchNormTrainAttrs, EpsAttrs, RunningAverageAttrs } from '../../../../ops/batchNorm.js';
import { sizeOf } from '../../../../tensor/shape.js';
import type { Read, Value } from '../../plan/plan.js';
import { activated, elementwise, finish, type Lower, literal } from '../lowering.js';
import { channelReduce } from '../reduce.js';

const normalised = (
  [x, weight, bias, mean, variance]: readonly Read[],
  at: readonly string[],
  eps: number,
): string => {
  const c = [at[1]!];
  return `(${x!(at)} - ${mean!(c)}) / Math.sqrt(${variance!(c)} + ${eps}) * ${weight!(c)} + ${bias!(c)}`;
};

/** y = activation((x - mean) / sqrt(variance + eps) * weight + bias), whatever the statistics are of. */
export const lowerBatchNorm: Lower<BatchNormTrainAttrs> = (call) =>
  finish(call, call.inputs, (read, at) =>
    activated(call.attrs.activation, normalised(read, at, call.attrs.eps)),
  );

/** How many values each channel has. */
const perChannelOf = (shape: readonly number[]): number => sizeOf(shape) / shape[1]!;

/** y[c] = mean of x. */
export const lowerChannelMean: Lower<object> = (call) =>
  channelReduce(call, call.inputs, ([x], at) => x!(at), {
    body: (_, sum) => `${sum} / ${perChannelOf(call.node.inputs[0]!.shape)}`,
  });

/** y[c] = mean square distance from the mean. Inputs: x, mean. */
export const lowerChannelVariance: Lower<object> = (call) =>
  channelReduce(
    call,
    call.inputs,
    ([x, mean], at, c) => `(${x!(at)} - ${mean!([c])}) * (${x!(at)} - ${mean!([c])})`,
    { body: (_, sum) => `${sum} / ${perChannelOf(call.node.inputs[0]!.shape)}` },
  );

/** dx with fixed statistics. Inputs: dy, weight, variance. */
export const lowerBatchNormGradInput: Lower<EpsAttrs> = (call) =>
  finish(call, call.inputs, ([dy, weight, variance], at) => ({
    value: `${dy!(at)} * ${weight!([at[1]!])} / Math.sqrt(${variance!([at[1]!])} + ${call.attrs.eps})`,
  }));

/** dweight. Inputs: dy, x, mean, variance. */
export const lowerBatchNormGradWeight: Lower<EpsAttrs> = (call) => {
  const [dy, x, mean, variance] = call.inputs as [Value, Value, Value, Value];
  return channelReduce(
    call,
    [dy, x, mean],
    ([readDy, readX, readMean], at, c) => `${readDy!(at)} * (${readX!(at)} - ${readMean!([c])})`,
    {
      inputs: [variance],
      body: ([read], sum, c) => `${sum} / Math.sqrt(${read!([c])} + ${call.attrs.eps})`,
    },
  );
};

/** dx with the statistics of the batch. Inputs: dy, x, weight, mean, variance, dweight, dbias. */
export const lowerBatchNormTrainGradInput: Lower<EpsAttrs> = (call) =>
  finish(call, call.inputs, ([dy, x, weight, mean, variance, dweight, dbias], at) => {
    const c = [at[1]!];
    return {
      statements: `const deviation = Math.sqrt(${variance!(c)} + ${call.attrs.eps});
const normal = (${x!(at)} - ${mean!(c)}) / deviation;`,
      value: `${weight!(c)} / deviation * (${dy!(at)} - (${dbias!(c)} + normal * ${dweight!(c)}) / ${perChannelOf(call.shape)})`,
    };
  });

/** y = (1 - momentum) * average + momentum * scale * value. */
export const lowerRunningAverage: Lower<RunningAverageAttrs> = elementwise(
  ({ momentum, scale }, [average, value]) =>
    `${literal(1 - momentum)} * ${average} + ${literal(momentum * scale)} * ${value}`,
);

/** A weight with the normalisation folded in. Inputs: w, weight, variance. */
export const lowerFoldedWeight: Lower<EpsAttrs> = (call) =>
  finish(call, call.inputs, ([w, weight, variance], at) => ({
    value: `${w!(at)} * ${weight!([at[0]!])} / Math.sqrt(${variance!([at[0]!])} + ${call.attrs.eps})`,
  }));

/** A bias with the normalisation folded in. Inputs: weight, bias, mean, variance, own?. */
export const lowerFoldedBias: Lower<EpsAttrs> = elementwise(
  ({ eps }, [weight, bias, mean, variance, own]) =>
    `${bias} + (${own ?? '0.0'} - ${mean}) * ${weight} / Math.sqrt(${variance} + ${eps})`,
);
