/** The lowerings of ops that only training needs; with those of inference they are all, which the compiler checks. */
import type { AttrsOf, TrainingOp } from '../../../ops/index.js';
import { lowerConv2dGradInput } from './conv/conv2dInputGradient.js';
import { lowerConv2dGradWeight } from './conv/conv2dWeightGradient.js';
import { transformChangingWeights } from './conv/winograd/changingWeights.js';
import { lowerSliceGrad } from './data/arrange.js';
import { lowerRandomMask } from './dropout/randomMask.js';
import { lowerCrossEntropy, lowerCrossEntropyGrad, lowerNllLoss, lowerNllLossGrad } from './loss/loss.js';
import type { Lowering } from './lowering.js';
import { lowerMatmul } from './matmul/linearGradient.js';
import { lowerBatchNormGradInput, lowerBatchNormTrainGradInput } from './norm/normGradient.js';
import { lowerOptimizerStep, lowerSumOfSquares, lowerUpdateChains } from './optimizer/optimizer.js';
import { lowerActivationGrad } from './pointwise/activationGradient.js';
import { lowerBatchNorm } from './pointwise/pointwise.js';
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
import {
  lowerLocalResponseNormGrad,
  lowerLogSoftmaxGrad,
  lowerSoftmaxGrad,
} from './softmax/acrossChannelsGradient.js';

/** Losses, gradients, batch statistics and optimizers. */
export const trainingLowerings = {
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
  conv2dGradInput: lowerConv2dGradInput,
  conv2dGradWeight: lowerConv2dGradWeight,
  crossEntropy: lowerCrossEntropy,
  crossEntropyGrad: lowerCrossEntropyGrad,
  descend: lowerOptimizerStep,
  globalAvgPoolGrad: lowerGlobalAvgPoolGrad,
  linearCombination: lowerOptimizerStep,
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
} as const satisfies { readonly [K in TrainingOp]: Lowering<AttrsOf<K>> };

export { lowerUpdateChains, transformChangingWeights };
