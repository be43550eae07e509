/** The op table: every op by name. The compiler checks that every back end has a kernel for each. */
import type { Node } from '../graph/graph.js';
import { activationGradOp, activationOp } from './activation.js';
import {
  adaptiveAvgPoolGradOp,
  adaptiveAvgPoolOp,
  adaptiveMaxPoolGradOp,
  adaptiveMaxPoolOp,
  globalAvgPoolGradOp,
  globalAvgPoolOp,
} from './adaptivePool.js';
import { addOp, mulOp } from './arithmetic.js';
import { channelShuffleOp, concatOp, padOp, reshapeOp, sliceGradOp, sliceOp } from './arrange.js';
import {
  batchNormGradInputOp,
  batchNormGradWeightOp,
  batchNormOp,
  batchNormTrainGradInputOp,
  batchNormTrainOp,
  channelMeanOp,
  channelVarianceOp,
  foldedBiasOp,
  foldedWeightOp,
} from './batchNorm.js';
import { conv2dGradInputOp, conv2dGradWeightOp, conv2dOp } from './conv2d.js';
import type { OpDefinition, OpRole } from './define.js';
import { dropoutOp, randomMaskOp, stochasticDepthOp } from './dropout.js';
import { fillOp } from './fill.js';
import { linearOp, matmulOp } from './linear.js';
import { localResponseNormGradOp, localResponseNormOp } from './localResponseNorm.js';
import { crossEntropyGradOp, crossEntropyOp, nllLossGradOp, nllLossOp } from './loss.js';
import {
  adaptiveDescendOp,
  clipByNormOp,
  descendOp,
  linearCombinationOp,
  runningAverageOp,
  squareAverageOp,
  sumOfSquaresOp,
} from './optimizer.js';
import { avgPoolGradOp, avgPoolOp, maxPoolGradOp, maxPoolOp } from './pool.js';
import { channelSumOp, sumToOp } from './reduce.js';
import { logSoftmaxGradOp, logSoftmaxOp, softmaxGradOp, softmaxOp } from './softmax.js';

export { computeReference, definitionOf, findDefinition } from './define.js';

/** Every op by name. */
export const ops = {
  activation: activationOp,
  activationGrad: activationGradOp,
  adaptiveAvgPool: adaptiveAvgPoolOp,
  adaptiveAvgPoolGrad: adaptiveAvgPoolGradOp,
  adaptiveDescend: adaptiveDescendOp,
  adaptiveMaxPool: adaptiveMaxPoolOp,
  adaptiveMaxPoolGrad: adaptiveMaxPoolGradOp,
  add: addOp,
  avgPool: avgPoolOp,
  avgPoolGrad: avgPoolGradOp,
  batchNorm: batchNormOp,
  batchNormGradInput: batchNormGradInputOp,
  batchNormGradWeight: batchNormGradWeightOp,
  batchNormTrain: batchNormTrainOp,
  batchNormTrainGradInput: batchNormTrainGradInputOp,
  channelMean: channelMeanOp,
  channelShuffle: channelShuffleOp,
  channelSum: channelSumOp,
  channelVariance: channelVarianceOp,
  clipByNorm: clipByNormOp,
  concat: concatOp,
  conv2d: conv2dOp,
  conv2dGradInput: conv2dGradInputOp,
  conv2dGradWeight: conv2dGradWeightOp,
  crossEntropy: crossEntropyOp,
  crossEntropyGrad: crossEntropyGradOp,
  descend: descendOp,
  dropout: dropoutOp,
  fill: fillOp,
  foldedBias: foldedBiasOp,
  foldedWeight: foldedWeightOp,
  globalAvgPool: globalAvgPoolOp,
  globalAvgPoolGrad: globalAvgPoolGradOp,
  linear: linearOp,
  linearCombination: linearCombinationOp,
  localResponseNorm: localResponseNormOp,
  localResponseNormGrad: localResponseNormGradOp,
  logSoftmax: logSoftmaxOp,
  logSoftmaxGrad: logSoftmaxGradOp,
  matmul: matmulOp,
  maxPool: maxPoolOp,
  maxPoolGrad: maxPoolGradOp,
  mul: mulOp,
  nllLoss: nllLossOp,
  nllLossGrad: nllLossGradOp,
  pad: padOp,
  randomMask: randomMaskOp,
  reshape: reshapeOp,
  runningAverage: runningAverageOp,
  slice: sliceOp,
  sliceGrad: sliceGradOp,
  softmax: softmaxOp,
  softmaxGrad: softmaxGradOp,
  squareAverage: squareAverageOp,
  stochasticDepth: stochasticDepthOp,
  sumOfSquares: sumOfSquaresOp,
  sumTo: sumToOp,
} as const;

/** The name of an op. */
export type OpName = keyof typeof ops;

/** Names of the ops of a role. */
type OpsOf<R extends OpRole> = { [K in OpName]: (typeof ops)[K]['role'] extends R ? K : never }[OpName];

/** Name of an op of models. */
export type InferenceOp = OpsOf<'inference'>;
/** Name of an op that occurs in training steps only, optimizers included. */
export type TrainingOp = Exclude<OpName, InferenceOp>;
/** Name of an op of optimizers. */
export type OptimizerOp = OpsOf<'optimizer'>;

/** The attributes of an op. */
export type AttrsOf<K extends OpName> = (typeof ops)[K] extends OpDefinition<infer A> ? A : never;

/** True if a node is an op of that name; its attributes then have that op's type. */
export const isOp = <K extends OpName>(node: Node, op: K): node is Node<AttrsOf<K>> => node.op === op;
