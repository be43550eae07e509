/** The kernels of the gpu back end by op: the compiler sees to it that none is missing. */
import type { AttrsOf, OpName } from '../../../ops/index.js';
import type { Value } from '../plan/plan.js';
import { lowerConv2d, lowerConv2dGradInput, lowerConv2dGradWeight } from './conv/conv2d.js';
import * as arrange from './data/arrange.js';
import * as arithmetic from './elementwise/arithmetic.js';
import * as loss from './loss.js';
import type { Lower, Lowering } from './lowering.js';
import { lowerLinear, lowerMatmul } from './matmul/linear.js';
import * as batchNorm from './norm/batchNorm.js';
import * as pool from './pool/pool.js';
import * as reduce from './reduce.js';

/** How each op becomes kernels. */
export const lowerings: { readonly [K in OpName]: Lower<AttrsOf<K>> } = {
  activation: arithmetic.lowerActivation,
  activationGrad: arithmetic.lowerActivationGrad,
  adaptiveAvgPool: pool.lowerAdaptiveAvgPool,
  adaptiveAvgPoolGrad: pool.lowerAdaptiveAvgPoolGrad,
  adaptiveDescend: arithmetic.lowerAdaptiveDescend,
  adaptiveMaxPool: pool.lowerAdaptiveMaxPool,
  adaptiveMaxPoolGrad: pool.lowerAdaptiveMaxPoolGrad,
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
  clipByNorm: arithmetic.lowerClipByNorm,
  concat: arrange.lowerConcat,
  conv2d: lowerConv2d,
  conv2dGradInput: lowerConv2dGradInput,
  conv2dGradWeight: lowerConv2dGradWeight,
  crossEntropy: loss.lowerCrossEntropy,
  crossEntropyGrad: loss.lowerCrossEntropyGrad,
  descend: arithmetic.lowerDescend,
  dropout: arrange.lowerNeutral,
  fill: arrange.lowerFill,
  foldedBias: batchNorm.lowerFoldedBias,
  foldedWeight: batchNorm.lowerFoldedWeight,
  globalAvgPool: pool.lowerGlobalAvgPool,
  globalAvgPoolGrad: pool.lowerGlobalAvgPoolGrad,
  linear: lowerLinear,
  linearCombination: arithmetic.lowerLinearCombination,
  localResponseNorm: arithmetic.lowerLocalResponseNorm,
  localResponseNormGrad: arithmetic.lowerLocalResponseNormGrad,
  logSoftmax: loss.lowerLogSoftmax,
  logSoftmaxGrad: loss.lowerLogSoftmaxGrad,
  matmul: lowerMatmul,
  maxPool: pool.lowerMaxPool,
  maxPoolGrad: pool.lowerMaxPoolGrad,
  mul: arithmetic.lowerMul,
  nllLoss: loss.lowerNllLoss,
  nllLossGrad: loss.lowerNllLossGrad,
  pad: arrange.lowerPad,
  randomMask: arrange.lowerRandomMask,
  reshape: arrange.lowerReshape,
  runningAverage: batchNorm.lowerRunningAverage,
  slice: arrange.lowerSlice,
  sliceGrad: arrange.lowerSliceGrad,
  softmax: loss.lowerSoftmax,
  softmaxGrad: loss.lowerSoftmaxGrad,
  squareAverage: arithmetic.lowerSquareAverage,
  stochasticDepth: arrange.lowerNeutral,
  sumOfSquares: reduce.lowerSumOfSquares,
  sumTo: reduce.lowerSumTo,
};

/** The calls of one node. The cast is the place where the type of the attributes is lost: they are its op's. */
export const lowerNode = (lowering: Lowering<object>): Value => {
  const lower = (lowerings as Readonly<Record<string, unknown>>)[lowering.node.op] as Lower<object>;
  return lower(lowering);
};
