/** The table of lowerings, one for each op; the compiler asks for new ones. */
import type { Node } from '../../../graph/graph.js';
import type { AttrsOf, OpName } from '../../../ops/index.js';
import type { Planner } from '../plan/planner.js';
import { lowerLocalResponseNorm, lowerLogSoftmax, lowerSoftmax } from './acrossChannels.js';
import { lowerChannelShuffle, lowerConcat, lowerPad, lowerSlice, lowerSliceGrad } from './arrange.js';
import { lowerConv2d } from './conv2d.js';
import {
  lowerActivation,
  lowerAdd,
  lowerBatchNorm,
  lowerFill,
  lowerMul,
  lowerNeutral,
  lowerReshape,
} from './elementwise.js';
import { lowerFoldedBias, lowerFoldedWeight } from './fold.js';
import {
  lowerLocalResponseNormGrad,
  lowerLogSoftmaxGrad,
  lowerSoftmaxGrad,
} from './gradient/acrossChannels.js';
import { lowerActivationGrad } from './gradient/activation.js';
import { lowerConv2dGradInput } from './gradient/convInput.js';
import { lowerConv2dGradWeight } from './gradient/convWeight.js';
import { lowerMatmul } from './gradient/matmul.js';
import { lowerBatchNormGradInput, lowerBatchNormTrainGradInput } from './gradient/norm.js';
import {
  lowerAdaptiveAvgPoolGrad,
  lowerAdaptiveMaxPoolGrad,
  lowerAvgPoolGrad,
  lowerGlobalAvgPoolGrad,
  lowerMaxPoolGrad,
} from './gradient/pool.js';
import { lowerLinear } from './linear.js';
import { lowerCrossEntropy, lowerCrossEntropyGrad, lowerNllLoss, lowerNllLossGrad } from './loss.js';
import type { Lowering } from './lowering.js';
import {
  lowerAdaptiveDescend,
  lowerClipByNorm,
  lowerDescend,
  lowerLinearCombination,
  lowerRunningAverage,
  lowerSquareAverage,
  lowerSumOfSquares,
} from './optimizer.js';
import {
  lowerAdaptiveAvgPool,
  lowerAdaptiveMaxPool,
  lowerAvgPool,
  lowerGlobalAvgPool,
  lowerMaxPool,
} from './pool.js';
import { lowerRandomMask } from './randomMask.js';
import {
  lowerBatchNormGradWeight,
  lowerChannelMean,
  lowerChannelSum,
  lowerChannelVariance,
  lowerSumTo,
} from './reduce.js';

/** How each op becomes phases of kernel calls. */
export const lowerings = {
  activation: lowerActivation,
  activationGrad: lowerActivationGrad,
  adaptiveAvgPool: lowerAdaptiveAvgPool,
  adaptiveAvgPoolGrad: lowerAdaptiveAvgPoolGrad,
  adaptiveDescend: lowerAdaptiveDescend,
  adaptiveMaxPool: lowerAdaptiveMaxPool,
  adaptiveMaxPoolGrad: lowerAdaptiveMaxPoolGrad,
  add: lowerAdd,
  avgPool: lowerAvgPool,
  avgPoolGrad: lowerAvgPoolGrad,
  batchNorm: lowerBatchNorm,
  batchNormGradInput: lowerBatchNormGradInput,
  batchNormGradWeight: lowerBatchNormGradWeight,
  batchNormTrain: lowerBatchNorm,
  batchNormTrainGradInput: lowerBatchNormTrainGradInput,
  channelMean: lowerChannelMean,
  channelShuffle: lowerChannelShuffle,
  channelSum: lowerChannelSum,
  channelVariance: lowerChannelVariance,
  clipByNorm: lowerClipByNorm,
  concat: lowerConcat,
  conv2d: lowerConv2d,
  conv2dGradInput: lowerConv2dGradInput,
  conv2dGradWeight: lowerConv2dGradWeight,
  crossEntropy: lowerCrossEntropy,
  crossEntropyGrad: lowerCrossEntropyGrad,
  descend: lowerDescend,
  dropout: lowerNeutral,
  fill: lowerFill,
  foldedBias: lowerFoldedBias,
  foldedWeight: lowerFoldedWeight,
  globalAvgPool: lowerGlobalAvgPool,
  globalAvgPoolGrad: lowerGlobalAvgPoolGrad,
  linear: lowerLinear,
  linearCombination: lowerLinearCombination,
  localResponseNorm: lowerLocalResponseNorm,
  localResponseNormGrad: lowerLocalResponseNormGrad,
  logSoftmax: lowerLogSoftmax,
  logSoftmaxGrad: lowerLogSoftmaxGrad,
  matmul: lowerMatmul,
  maxPool: lowerMaxPool,
  maxPoolGrad: lowerMaxPoolGrad,
  mul: lowerMul,
  nllLoss: lowerNllLoss,
  nllLossGrad: lowerNllLossGrad,
  pad: lowerPad,
  randomMask: lowerRandomMask,
  reshape: lowerReshape,
  runningAverage: lowerRunningAverage,
  slice: lowerSlice,
  sliceGrad: lowerSliceGrad,
  softmax: lowerSoftmax,
  softmaxGrad: lowerSoftmaxGrad,
  squareAverage: lowerSquareAverage,
  stochasticDepth: lowerNeutral,
  sumOfSquares: lowerSumOfSquares,
  sumTo: lowerSumTo,
} as const satisfies { readonly [K in OpName]: Lowering<AttrsOf<K>> };

/**
 * Adds the phases of one node. The cast is where the type of the attributes is lost: a node's attributes are
 * those of its op.
 */
export const lowerNode = (planner: Planner, node: Node): void =>
  (lowerings[node.op as OpName] as Lowering<object>)(planner, node);
