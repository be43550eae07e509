/** The lowerings of ops that only training needs; with those of inference they are all, which the compiler checks. */
import type { AttrsOf, TrainingOp } from '../../../ops/index.js';
import { lowerSliceGrad } from './arrange.js';
import { lowerBatchNorm } from './elementwise.js';
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
import { transformInRun } from './gradient/winogradInRun.js';
import { lowerCrossEntropy, lowerCrossEntropyGrad, lowerNllLoss, lowerNllLossGrad } from './loss.js';
import type { Lowering } from './lowering.js';
import { lowerOptimizerStep, lowerSumOfSquares, lowerUpdateChains } from './optimizer.js';
import { lowerRandomMask } from './randomMask.js';
import {
  lowerBatchNormGradWeight,
  lowerChannelMean,
  lowerChannelSum,
  lowerChannelVariance,
  lowerSumTo,
} from './reduce.js';

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

export { lowerUpdateChains, transformInRun };
