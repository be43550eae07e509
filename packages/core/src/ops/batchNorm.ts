/**
 * Batch normalisation (https://arxiv.org/abs/1502.03167). Mean and variance are inputs: the running
 * statistics for inference, or two nodes that compute those of the batch and that the running averages read
 * too.
 */
import { ShapeError } from '../errors.js';
import type { Node } from '../graph/graph.js';
import { formatShape, type Shape, sizeOf } from '../tensor/shape.js';
import { type Activation, activate } from './activation.js';
import { BACKWARD, defineOp, emit, type ReferenceCall, requireUnfused } from './define.js';
import { channelOf, channelSumOp } from './reduce.js';

/** Attributes of a normalisation. */
export interface BatchNormAttrs {
  /** Added to the variance before the square root. */
  readonly eps: number;
  /** Weight of the new batch in the running statistics; read by `forTraining` only. */
  readonly momentum: number;
  /** Applied last. Set by the fuse pass. */
  readonly activation?: Activation;
}

/** Attributes of ops with an epsilon only, which is added to the variance before the square root. */
export interface EpsAttrs {
  readonly eps: number;
}

/** Attributes of a normalisation by the statistics of the batch. */
export interface BatchNormTrainAttrs extends EpsAttrs {
  /** Applied last. Set by the fuse pass. */
  readonly activation?: Activation;
}

function checkChannels(op: string, x: Shape | undefined, others: readonly (Shape | undefined)[]): void {
  if (!x || x.length < 2) throw new ShapeError(`${op} expects n x c x ..., got ${formatShape(x ?? [])}`);
  for (const other of others)
    if (other?.length !== 1 || other[0] !== x[1])
      throw new ShapeError(`expected ${other?.[0]} channels, got ${x[1]} (input ${formatShape(x)})`);
}

/** y = (x - mean) / sqrt(variance + eps) * weight + bias. Inputs: x, weight, bias, mean, variance. */
export const batchNormOp = defineOp<BatchNormAttrs>({
  op: 'batchNorm',
  role: 'inference',
  layout: 'activations',
  perImage: true,
  parameters: [1, 2, 3, 4],
  inPlace: [0],
  fusesActivation: true,
  shape([x, ...rest]) {
    checkChannels('batchNorm', x, rest);
    return x!;
  },
  reference: normalise,
  gradient(node, upstream) {
    const [x, weight, , mean, variance] = node.inputs as [Node, Node, Node, Node, Node];
    const { eps } = node.attrs;
    requireUnfused(node);
    return [
      emit(batchNormGradInputOp, [upstream, weight, variance], { eps }),
      emit(batchNormGradWeightOp, [upstream, x, mean, variance], { eps }),
      emit(channelSumOp, [upstream], {}),
    ];
  },
  flops: (_, output) => 2 * sizeOf(output),
});

/**
 * Normalisation by the statistics of the batch: the formula of `batchNorm`, where mean and variance are nodes
 * computed from x, which the gradient with respect to x includes. Inputs: x, weight, bias, mean, variance.
 */
export const batchNormTrainOp = defineOp<BatchNormTrainAttrs, 'training'>({
  op: 'batchNormTrain',
  role: 'training',
  layout: 'activations',
  parameters: [1, 2],
  fusesActivation: true,
  shape: (shapes) => batchNormOp.shape(shapes, { eps: 0, momentum: 0 }),
  reference: normalise,
  gradient(node, upstream) {
    const [x, weight, , mean, variance] = node.inputs as [Node, Node, Node, Node, Node];
    const attrs = { eps: node.attrs.eps };
    requireUnfused(node);
    const weightGradient = emit(batchNormGradWeightOp, [upstream, x, mean, variance], attrs);
    const biasGradient = emit(channelSumOp, [upstream], {});
    return [
      emit(
        batchNormTrainGradInputOp,
        [upstream, x, weight, mean, variance, weightGradient, biasGradient],
        attrs,
      ),
      weightGradient,
      biasGradient,
    ];
  },
  flops: (_, output) => 2 * sizeOf(output),
});

function normalise({
  inputs: [x, weight, bias, mean, variance],
  shapes: [xs],
  attrs: { eps, activation },
  output,
}: ReferenceCall<BatchNormTrainAttrs>): void {
  const channel = channelOf(xs!);
  for (let i = 0; i < output.length; i++) {
    const c = channel(i);
    const value = ((x![i]! - mean![c]!) / Math.sqrt(variance![c]! + eps)) * weight![c]! + bias![c]!;
    output[i] = activation ? activate(activation, value) : value;
  }
}

/** y[c] = mean of x over all dimensions but the channel. */
export const channelMeanOp = defineOp<object, 'training'>({
  op: 'channelMean',
  role: 'training',
  layout: 'activations',
  shape: (shapes) => channelSumOp.shape(shapes, {}),
  reference({ inputs: [x], shapes: [xs], output }) {
    const channel = channelOf(xs!);
    for (let i = 0; i < x!.length; i++) output[channel(i)]! += x![i]!;
    for (let c = 0; c < output.length; c++) output[c]! /= x!.length / output.length;
  },
  gradient: 'batchNormTrain accounts for it in its own gradient',
  flops: ([x]) => sizeOf(x!),
});

/** y[c] = mean of (x - mean[c])^2: the biased variance. Inputs: x, mean. */
export const channelVarianceOp = defineOp<object, 'training'>({
  op: 'channelVariance',
  role: 'training',
  layout: 'activations',
  shape([x, mean]) {
    checkChannels('channelVariance', x, [mean]);
    return mean!;
  },
  reference({ inputs: [x, mean], shapes: [xs], output }) {
    const channel = channelOf(xs!);
    for (let i = 0; i < x!.length; i++) output[channel(i)]! += (x![i]! - mean![channel(i)]!) ** 2;
    for (let c = 0; c < output.length; c++) output[c]! /= x!.length / output.length;
  },
  gradient: 'batchNormTrain accounts for it in its own gradient',
  flops: ([x]) => 3 * sizeOf(x!),
});

/** dx for constant statistics: dy * weight / sqrt(variance + eps). Inputs: dy, weight, variance. */
export const batchNormGradInputOp = defineOp<EpsAttrs, 'training'>({
  op: 'batchNormGradInput',
  role: 'training',
  layout: 'activations',
  shape([dy, ...rest]) {
    checkChannels('batchNormGradInput', dy, rest);
    return dy!;
  },
  reference({ inputs: [dy, weight, variance], shapes: [dys], attrs: { eps }, output }) {
    const channel = channelOf(dys!);
    for (let i = 0; i < output.length; i++) {
      const c = channel(i);
      output[i] = (dy![i]! * weight![c]!) / Math.sqrt(variance![c]! + eps);
    }
  },
  gradient: BACKWARD,
  flops: (_, output) => sizeOf(output),
});

/** dweight[c] = sum of dy * (x - mean) / sqrt(variance + eps). Inputs: dy, x, mean, variance. */
export const batchNormGradWeightOp = defineOp<EpsAttrs, 'training'>({
  op: 'batchNormGradWeight',
  role: 'training',
  layout: 'activations',
  shape([dy, , mean, variance]) {
    checkChannels('batchNormGradWeight', dy, [mean, variance]);
    return mean!;
  },
  reference({ inputs: [dy, x, mean, variance], shapes: [dys], attrs: { eps }, output }) {
    const channel = channelOf(dys!);
    for (let i = 0; i < dy!.length; i++) output[channel(i)]! += dy![i]! * (x![i]! - mean![channel(i)]!);
    for (let c = 0; c < output.length; c++) output[c]! /= Math.sqrt(variance![c]! + eps);
  },
  gradient: BACKWARD,
  flops: ([dy]) => 3 * sizeOf(dy!),
});

/**
 * dx for the statistics of the batch, of m values a channel:
 * weight / s * (dy - dbias / m - (x - mean) / s * dweight / m), s = sqrt(variance + eps).
 * Inputs: dy, x, weight, mean, variance, dweight, dbias.
 */
export const batchNormTrainGradInputOp = defineOp<EpsAttrs, 'training'>({
  op: 'batchNormTrainGradInput',
  role: 'training',
  layout: 'activations',
  shape([dy, , ...rest]) {
    checkChannels('batchNormTrainGradInput', dy, rest);
    return dy!;
  },
  reference({
    inputs: [dy, x, weight, mean, variance, dweight, dbias],
    shapes: [dys],
    attrs: { eps },
    output,
  }) {
    const channel = channelOf(dys!);
    const count = output.length / mean!.length;
    for (let i = 0; i < output.length; i++) {
      const c = channel(i);
      const deviation = Math.sqrt(variance![c]! + eps);
      const normalised = (x![i]! - mean![c]!) / deviation;
      output[i] = (weight![c]! / deviation) * (dy![i]! - (dbias![c]! + normalised * dweight![c]!) / count);
    }
  },
  gradient: BACKWARD,
  flops: (_, output) => 6 * sizeOf(output),
});

/** Attributes of `runningAverage`. */
export interface RunningAverageAttrs {
  readonly momentum: number;
  /** Factor of the new value: m / (m - 1) turns the biased variance of m values into the unbiased one. */
  readonly scale: number;
}

/** y = (1 - momentum) * average + momentum * scale * value. Inputs: average, value. */
export const runningAverageOp = defineOp<RunningAverageAttrs, 'optimizer'>({
  op: 'runningAverage',
  role: 'optimizer',
  layout: 'weights',
  parameters: [0],
  shape: ([average]) => average!,
  reference({ inputs: [average, value], attrs: { momentum, scale }, output }) {
    for (let i = 0; i < output.length; i++)
      output[i] = (1 - momentum) * average![i]! + momentum * scale * value![i]!;
  },
  gradient: 'running statistics take no part in the loss',
  flops: (_, output) => 3 * sizeOf(output),
});

/**
 * Weight of a convolution or linear layer with the batch norm after it folded in:
 * y[c] = w[c] * weight[c] / sqrt(variance[c] + eps). Inputs: w, weight, variance.
 */
export const foldedWeightOp = defineOp<EpsAttrs>({
  op: 'foldedWeight',
  role: 'inference',
  layout: 'weights',
  perImage: false,
  shape: ([w]) => w!,
  reference({ inputs: [w, weight, variance], attrs: { eps }, output }) {
    const perOutput = output.length / weight!.length;
    for (let c = 0, i = 0; c < weight!.length; c++) {
      const [scale, deviation] = [weight![c]!, Math.sqrt(variance![c]! + eps)];
      for (const end = i + perOutput; i < end; i++) output[i] = (w![i]! * scale) / deviation;
    }
  },
  byRows: true,
  gradient: 'folding belongs to inference',
  flops: (_, output) => sizeOf(output),
});

/**
 * Bias of a layer with the batch norm after it folded in: y = bias + (b - mean) * weight / sqrt(variance +
 * eps). Inputs: weight, bias, mean, variance, and the layer's bias b (default 0).
 */
export const foldedBiasOp = defineOp<EpsAttrs>({
  op: 'foldedBias',
  role: 'inference',
  layout: 'weights',
  perImage: false,
  shape: ([weight]) => weight!,
  reference({ inputs: [weight, bias, mean, variance, own], attrs: { eps }, output }) {
    for (let c = 0; c < output.length; c++)
      output[c] =
        bias![c]! + (((own ? own[c]! : 0) - mean![c]!) * weight![c]!) / Math.sqrt(variance![c]! + eps);
  },
  byRows: true,
  gradient: 'folding belongs to inference',
  flops: (_, output) => 4 * sizeOf(output),
});
