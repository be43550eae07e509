/** Lowering of each op. The compiler reports an op that is missing. */
import type { Node } from '../../../graph/graph.js';
import { type AttrsOf, isOp, type OpName } from '../../../ops/index.js';
import type { Kernels } from '../assignKernels.js';
import type { PlannedTensor } from '../plan/plan.js';
import { lowerConv2d, paddedInputOfConv2d } from './conv/conv2d.js';
import * as convGradient from './conv/gradient.js';
import * as arrange from './data/arrange.js';
import { lowerRandomMask } from './dropout/randomMask.js';
import * as loss from './loss/loss.js';
import type { Lowering, LoweringContext, PaddedInput } from './lowering.js';
import { lowerLinear } from './matmul/linear.js';
import { lowerMatmul } from './matmul/matmul.js';
import * as batchNorm from './norm/batchNorm.js';
import * as localResponseNorm from './norm/localResponseNorm.js';
import { lowerOptimizerStep } from './optimizer/optimizer.js';
import * as activation from './pointwise/activation.js';
import * as arithmetic from './pointwise/arithmetic.js';
import * as adaptivePool from './pool/adaptivePool.js';
import * as pool from './pool/pool.js';
import * as reduce from './reduce/reduce.js';
import * as softmax from './softmax/softmax.js';

const lowerings: { readonly [K in OpName]: Lowering<AttrsOf<K>> } = {
  activation: activation.lowerActivation,
  activationGrad: activation.lowerActivationGrad,
  adaptiveAvgPool: adaptivePool.lowerAdaptiveAvgPool,
  adaptiveAvgPoolGrad: adaptivePool.lowerAdaptiveAvgPoolGrad,
  adaptiveDescend: lowerOptimizerStep,
  adaptiveMaxPool: adaptivePool.lowerAdaptiveMaxPool,
  adaptiveMaxPoolGrad: adaptivePool.lowerAdaptiveMaxPoolGrad,
  add: arithmetic.lowerAdd,
  avgPool: pool.lowerAvgPool,
  avgPoolGrad: pool.lowerAvgPoolGrad,
  batchNorm: batchNorm.lowerBatchNorm,
  batchNormGradInput: batchNorm.lowerBatchNormGradInput,
  batchNormGradWeight: batchNorm.lowerBatchNormGradWeight,
  batchNormTrain: batchNorm.lowerBatchNorm,
  batchNormTrainGradInput: batchNorm.lowerBatchNormTrainGradInput,
  channelMean: batchNorm.lowerChannelMean,
  channelShuffle: arrange.lowerChannelShuffle,
  channelSum: reduce.lowerChannelSum,
  channelVariance: batchNorm.lowerChannelVariance,
  clipByNorm: lowerOptimizerStep,
  concat: arrange.lowerConcat,
  conv2d: lowerConv2d,
  conv2dGradInput: convGradient.lowerConv2dGradInput,
  conv2dGradWeight: convGradient.lowerConv2dGradWeight,
  crossEntropy: loss.lowerCrossEntropy,
  crossEntropyGrad: loss.lowerCrossEntropyGrad,
  descend: lowerOptimizerStep,
  dropout: arrange.lowerNeutral,
  fill: arrange.lowerFill,
  foldedBias: batchNorm.lowerFoldedBias,
  foldedWeight: batchNorm.lowerFoldedWeight,
  globalAvgPool: adaptivePool.lowerGlobalAvgPool,
  globalAvgPoolGrad: adaptivePool.lowerGlobalAvgPoolGrad,
  linear: lowerLinear,
  linearCombination: lowerOptimizerStep,
  localResponseNorm: localResponseNorm.lowerLocalResponseNorm,
  localResponseNormGrad: localResponseNorm.lowerLocalResponseNormGrad,
  logSoftmax: softmax.lowerLogSoftmax,
  logSoftmaxGrad: softmax.lowerLogSoftmaxGrad,
  matmul: lowerMatmul,
  maxPool: pool.lowerMaxPool,
  maxPoolGrad: pool.lowerMaxPoolGrad,
  mul: arithmetic.lowerMul,
  nllLoss: loss.lowerNllLoss,
  nllLossGrad: loss.lowerNllLossGrad,
  pad: arrange.lowerPad,
  randomMask: lowerRandomMask,
  reshape: arrange.lowerReshape,
  runningAverage: lowerOptimizerStep,
  slice: arrange.lowerSlice,
  sliceGrad: arrange.lowerSliceGrad,
  softmax: softmax.lowerSoftmax,
  softmaxGrad: softmax.lowerSoftmaxGrad,
  squareAverage: lowerOptimizerStep,
  stochasticDepth: arrange.lowerNeutral,
  sumOfSquares: reduce.lowerSumOfSquares,
  sumTo: reduce.lowerSumTo,
};

/** Lowers a node by its op's lowering. */
export const lowerNode = (context: LoweringContext): PlannedTensor => {
  // The attributes are those of the node's op, which the types do not tell.
  const lowering = (lowerings as Readonly<Record<string, unknown>>)[context.node.op] as Lowering;
  return lowering(context);
};

/** Gives the padding that the kernel of a node reads; undefined for ops that read none. */
export function paddedInputOf(node: Node, kernels: Kernels): PaddedInput | undefined {
  if (isOp(node, 'conv2d')) return paddedInputOfConv2d(node, kernels);
  if (isOp(node, 'conv2dGradWeight')) return convGradient.paddedInputOfConv2dGradWeight(node);
  return undefined;
}
