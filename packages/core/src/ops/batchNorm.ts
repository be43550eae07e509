/**
 * Batch normalisation (https://arxiv.org/abs/1502.03167). Mean and variance are inputs: the running
 * statistics for inference, or two nodes that compute those of the batch and that the running averages read
 * too.
 */
import { ShapeError } from '../errors.js';
import type { Node } from '../graph/graph.js';
import * as formulas from '../pointwise/batchNorm.js';
import { evaluate, type Runs } from '../pointwise/evaluate.js';
import { formatShape, type Shape, sizeOf } from '../tensor/shape.js';
import { type Activation, activated } from './activation.js';
import { BACKWARD, defineOp, emit, type ReferenceCall, requireUnfused, type Values } from './define.js';
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
  reference,
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
  reference,
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

function reference({
  inputs: [x, ...statistics],
  shapes: [xs],
  attrs: { eps, activation },
  output,
}: ReferenceCall<BatchNormTrainAttrs>): void {
  const [weight, bias, mean, variance] = perChannel(xs!, statistics);
  activated(activation, output, (values) =>
    evaluate(
      formulas.normalise(eps),
      { x: x!, weight: weight!, bias: bias!, mean: mean!, variance: variance! },
      values,
    ),
  );
}

/** Values of the channels, for each element of a tensor of a shape. */
const perChannel = (shape: Shape, values: readonly Values[]): readonly Runs[] =>
  values.map((perRun) => ({ perRun, run: sizeOf(shape.slice(2)) }));

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
  reference({ inputs: [dy, ...statistics], shapes: [dys], attrs: { eps }, output }) {
    const [weight, variance] = perChannel(dys!, statistics);
    evaluate(formulas.normGradient(eps), { dy: dy!, weight: weight!, variance: variance! }, output);
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
  reference({ inputs: [dy, x, ...statistics], shapes: [dys], attrs: { eps }, output }) {
    const [weight, mean, variance, dweight, dbias] = perChannel(dys!, statistics);
    evaluate(
      formulas.batchNormGradient(eps, output.length / dys![1]!),
      {
        dy: dy!,
        x: x!,
        weight: weight!,
        mean: mean!,
        variance: variance!,
        dweight: dweight!,
        dbias: dbias!,
      },
      output,
    );
  },
  gradient: BACKWARD,
  flops: (_, output) => 6 * sizeOf(output),
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
    const run = output.length / weight!.length;
    evaluate(
      formulas.foldedWeight(eps),
      { w: w!, weight: { perRun: weight!, run }, variance: { perRun: variance!, run } },
      output,
    );
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
  reference({ inputs: [weight, bias, mean, variance, layerBias = 0], attrs: { eps }, output }) {
    evaluate(
      formulas.foldedBias(eps),
      { weight: weight!, bias: bias!, mean: mean!, variance: variance!, layerBias },
      output,
    );
  },
  byRows: true,
  gradient: 'folding belongs to inference',
  flops: (_, output) => 4 * sizeOf(output),
});
