/**
 * The table of lowerings: how each op becomes phases of kernel calls. What only training needs is in a table
 * of its own, which bundlers can leave for later.
 */
import { type Graph, isParameter, type Node } from '../../../graph/graph.js';
import { type AttrsOf, findDefinition, type InferenceOp, isOp, type OpName } from '../../../ops/index.js';
import type { Planner } from '../schedule/planner.js';
import { lowerConv2d } from './conv/conv2d.js';
import { lowerInvertedResidual } from './conv/invertedResidual/invertedResidual.js';
import {
  lowerChannelShuffle,
  lowerConcat,
  lowerPad,
  lowerShuffledConcat,
  lowerSlice,
} from './data/arrange.js';
import type { Lowering } from './lowering.js';
import { lowerLinear } from './matmul/linear.js';
import { lowerNormMatmul } from './matmul/normMatmul.js';
import { lowerFoldedBias, lowerFoldedWeight } from './norm/foldedNorm.js';
import {
  lowerActivation,
  lowerAdd,
  lowerBatchNorm,
  lowerFill,
  lowerMul,
  lowerNeutral,
  lowerReshape,
} from './pointwise/pointwise.js';
import {
  lowerAdaptiveAvgPool,
  lowerAdaptiveMaxPool,
  lowerAvgPool,
  lowerGlobalAvgPool,
  lowerMaxPool,
} from './pool/pool.js';
import { lowerLocalResponseNorm, lowerLogSoftmax, lowerSoftmax } from './softmax/acrossChannels.js';

/** The ops of inference. */
export const lowerings = {
  activation: lowerActivation,
  adaptiveAvgPool: lowerAdaptiveAvgPool,
  adaptiveMaxPool: lowerAdaptiveMaxPool,
  add: lowerAdd,
  avgPool: lowerAvgPool,
  batchNorm: lowerBatchNorm,
  channelShuffle: lowerChannelShuffle,
  concat: lowerConcat,
  conv2d: lowerConv2d,
  dropout: lowerNeutral,
  fill: lowerFill,
  foldedBias: lowerFoldedBias,
  foldedWeight: lowerFoldedWeight,
  globalAvgPool: lowerGlobalAvgPool,
  linear: lowerLinear,
  localResponseNorm: lowerLocalResponseNorm,
  logSoftmax: lowerLogSoftmax,
  maxPool: lowerMaxPool,
  mul: lowerMul,
  pad: lowerPad,
  reshape: lowerReshape,
  slice: lowerSlice,
  softmax: lowerSoftmax,
  stochasticDepth: lowerNeutral,
} as const satisfies { readonly [K in InferenceOp]: Lowering<AttrsOf<K>> };

/** What makes phases. */
export interface Lowerer {
  /** Adds the phases of one node, and of those that are computed together with it. */
  node(planner: Planner, node: Node): void;
  /** Adds the phase that computes and takes on chains of updates. */
  updates(planner: Planner): void;
  readonly transformChangingWeights: Planner['transformChangingWeights'];
}

/** What lowers the nodes of a graph; loads the ops of training when there are some, or weights of convolutions change. */
export async function lowererFor({ nodes, updates }: Graph): Promise<Lowerer> {
  const changes = (weight: Node): boolean => !isParameter(weight) || updates.has(weight.attrs.name);
  const trains = nodes.some(
    (node) =>
      (findDefinition(node)?.role ?? 'inference') !== 'inference' ||
      (isOp(node, 'conv2d') && changes(node.inputs[1]!)),
  );
  const training = trains ? await import('./training.js') : undefined;
  const table = { ...lowerings, ...training?.trainingLowerings };
  return {
    node(planner, node) {
      const group = planner.fusions.get(node);
      if (group?.kind === 'invertedResidual') lowerInvertedResidual(planner, group);
      else if (group?.kind === 'shuffledConcat') lowerShuffledConcat(planner, group, node);
      else if (group?.kind === 'normMatmul') lowerNormMatmul(planner, group);
      // The cast is where the type of the attributes is lost: a node's attributes are those of its op.
      else
        (table as Record<string, unknown> as Record<OpName, Lowering<object>>)[node.op as OpName](
          planner,
          node,
        );
    },
    transformChangingWeights: training?.transformChangingWeights,
    updates: (planner) => training?.lowerUpdateChains(planner, planner.updateChains),
  };
}
