/**
 * Lowerings that are loaded when a graph needs one: of the ops of training, and of ops that few networks have. The
 * compiler checks that the two tables cover all ops.
 */
import type { AttrsOf } from '../../../ops/index.js';
import { conv2dLowering } from './conv/conv2d.js';
import { lowerConv2dGradInput } from './conv/conv2dInputGradient.js';
import { lowerConv2dGradWeight } from './conv/conv2dWeightGradient.js';
import { transformWeights } from './conv/winograd/changingWeights.js';
import { lowerSliceGrad } from './data/arrange.js';
import { lowerRandomMask } from './dropout/randomMask.js';
import { lowerCrossEntropy, lowerNllLoss } from './loss/loss.js';
import { lowerCrossEntropyGrad, lowerNllLossGrad } from './loss/lossGradient.js';
import type { DeferredOp, Lowering } from './lowering.js';
import { lowerMatmul } from './matmul/linearGradient.js';
import { lowerBatchNorm } from './norm/batchNorm.js';
import { lowerBatchNormGradInput, lowerBatchNormTrainGradInput } from './norm/batchNormGradient.js';
import { lowerFoldedBias, lowerFoldedWeight } from './norm/foldedNorm.js';
import { lowerLocalResponseNorm } from './norm/localResponseNorm.js';
import { lowerLocalResponseNormGrad } from './norm/localResponseNormGradient.js';
import { lowerOptimizerStep, lowerSumOfSquares, lowerUpdateChains } from './optimizer/optimizer.js';
import { lowerActivationGrad } from './pointwise/activationGradient.js';
import {
  lowerAdaptiveAvgPoolGrad,
  lowerAdaptiveMaxPoolGrad,
  lowerAvgPoolGrad,
  lowerGlobalAvgPoolGrad,
  lowerMaxPoolGrad,
} from './pool/poolGradient.js';
import {
  lowerBatchNormGradWeight,
  lowerChannelMean,
  lowerChannelSum,
  lowerChannelVariance,
  lowerSumTo,
} from './reduce/reduce.js';
import { lowerLogSoftmaxGrad, lowerSoftmaxGrad } from './softmax/softmaxGradient.js';

/** Losses, gradients, batch statistics and optimizers; batch norms folded in every run; local response norm. */
export const deferredLowerings = {
  activationGrad: lowerActivationGrad,
  adaptiveAvgPoolGrad: lowerAdaptiveAvgPoolGrad,
  adaptiveDescend: lowerOptimizerStep,
  adaptiveMaxPoolGrad: lowerAdaptiveMaxPoolGrad,
  avgPoolGrad: lowerAvgPoolGrad,
  batchNormGradInput: lowerBatchNormGradInput,
  batchNormGradWeight: lowerBatchNormGradWeight,
  batchNormTrain: lowerBatchNorm,
  batchNormTrainGradInput: lowerBatchNormTrainGradInput,
  channelMean: lowerChannelMean,
  channelSum: lowerChannelSum,
  channelVariance: lowerChannelVariance,
  clipByNorm: lowerOptimizerStep,
  // Replaces the common lowering, whose weights never change.
  conv2d: conv2dLowering(transformWeights),
  conv2dGradInput: lowerConv2dGradInput,
  conv2dGradWeight: lowerConv2dGradWeight,
  crossEntropy: lowerCrossEntropy,
  crossEntropyGrad: lowerCrossEntropyGrad,
  descend: lowerOptimizerStep,
  foldedBias: lowerFoldedBias,
  foldedWeight: lowerFoldedWeight,
  globalAvgPoolGrad: lowerGlobalAvgPoolGrad,
  linearCombination: lowerOptimizerStep,
  localResponseNorm: lowerLocalResponseNorm,
  localResponseNormGrad: lowerLocalResponseNormGrad,
  logSoftmaxGrad: lowerLogSoftmaxGrad,
  matmul: lowerMatmul,
  maxPoolGrad: lowerMaxPoolGrad,
  nllLoss: lowerNllLoss,
  nllLossGrad: lowerNllLossGrad,
  randomMask: lowerRandomMask,
  runningAverage: lowerOptimizerStep,
  sliceGrad: lowerSliceGrad,
  softmaxGrad: lowerSoftmaxGrad,
  squareAverage: lowerOptimizerStep,
  sumOfSquares: lowerSumOfSquares,
  sumTo: lowerSumTo,
} as const satisfies { readonly [K in DeferredOp | 'conv2d']: Lowering<AttrsOf<K>> };

export { lowerUpdateChains };
