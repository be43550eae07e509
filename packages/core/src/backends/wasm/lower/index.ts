/** The table of lowerings: one for each op of inference. An op without one makes the back end unavailable for a graph. */
import { BackendUnavailable } from '../../../errors.js';
import type { Node } from '../../../graph/graph.js';
import type { AttrsOf, OpName } from '../../../ops/index.js';
import type { Planner } from '../plan/planner.js';
import { lowerLocalResponseNorm, lowerLogSoftmax, lowerSoftmax } from './acrossChannels.js';
import { lowerChannelShuffle, lowerConcat, lowerPad, lowerSlice } from './arrange.js';
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
import { lowerActivationGrad } from './gradient/activation.js';
import { lowerConv2dGradInput } from './gradient/convInput.js';
import { lowerConv2dGradWeight } from './gradient/convWeight.js';
import { lowerMatmul } from './gradient/matmul.js';
import {
  lowerAdaptiveAvgPoolGrad,
  lowerAdaptiveMaxPoolGrad,
  lowerAvgPoolGrad,
  lowerGlobalAvgPoolGrad,
  lowerMaxPoolGrad,
} from './gradient/pool.js';
import { lowerLinear } from './linear.js';
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
  batchNormGradWeight: lowerBatchNormGradWeight,
  batchNormTrain: lowerBatchNorm,
  channelMean: lowerChannelMean,
  channelShuffle: lowerChannelShuffle,
  channelSum: lowerChannelSum,
  channelVariance: lowerChannelVariance,
  clipByNorm: lowerClipByNorm,
  concat: lowerConcat,
  conv2d: lowerConv2d,
  conv2dGradInput: lowerConv2dGradInput,
  conv2dGradWeight: lowerConv2dGradWeight,
  descend: lowerDescend,
  dropout: lowerNeutral,
  fill: lowerFill,
  globalAvgPool: lowerGlobalAvgPool,
  globalAvgPoolGrad: lowerGlobalAvgPoolGrad,
  linear: lowerLinear,
  linearCombination: lowerLinearCombination,
  localResponseNorm: lowerLocalResponseNorm,
  logSoftmax: lowerLogSoftmax,
  matmul: lowerMatmul,
  maxPool: lowerMaxPool,
  maxPoolGrad: lowerMaxPoolGrad,
  mul: lowerMul,
  pad: lowerPad,
  reshape: lowerReshape,
  runningAverage: lowerRunningAverage,
  slice: lowerSlice,
  softmax: lowerSoftmax,
  squareAverage: lowerSquareAverage,
  stochasticDepth: lowerNeutral,
  sumOfSquares: lowerSumOfSquares,
  sumTo: lowerSumTo,
} as const satisfies { readonly [K in OpName]?: Lowering<AttrsOf<K>> };

/** Adds the phases of one node. @throws BackendUnavailable for an op that has no lowering. */
export function lowerNode(planner: Planner, node: Node): void {
  const lower = (lowerings as Readonly<Record<string, unknown>>)[node.op] as Lowering<object> | undefined;
  if (!lower)
    throw new BackendUnavailable(
      'wasm',
      `${node.graph.at(node.path)}: the wasm back end does not have ${node.op}; use the reference back end.`,
    );
  lower(planner, node);
}
