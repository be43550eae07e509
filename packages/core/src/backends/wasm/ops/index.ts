/**
 * Table of lowerings: each op's function that adds its phases of kernel calls. Ops that most programs do not need are
 * in a second table, `deferred.ts`, which bundlers put in a chunk of its own.
 */
import { type Graph, isParameter, type Node } from '../../../graph/graph.js';
import { type AttrsOf, findDefinition, isOp, type OpName } from '../../../ops/index.js';
import type { LoweringContext } from '../schedule/context.js';
import type { Fusion } from '../schedule/fusions.js';
import type { UpdateChain } from '../schedule/updates.js';
import { conv2dLowering } from './conv/conv2d.js';
import { lowerInvertedResidual } from './conv/invertedResidual/invertedResidual.js';
import { transformConstantWeights } from './conv/winograd/weights.js';
import { lowerConcat, lowerFill, lowerPad, lowerReshape, lowerSlice } from './data/arrange.js';
import { lowerChannelShuffle, lowerShuffledConcat } from './data/shuffledConcat.js';
import type { CommonOp, Lowering } from './lowering.js';
import { lowerLinear } from './matmul/linear.js';
import { lowerNormMatmul } from './matmul/normMatmul.js';
import { lowerBatchNorm } from './norm/batchNorm.js';
import { lowerActivation, lowerAdd, lowerMul, lowerNeutral } from './pointwise/pointwise.js';
import {
  lowerAdaptiveAvgPool,
  lowerAdaptiveMaxPool,
  lowerAvgPool,
  lowerGlobalAvgPool,
  lowerMaxPool,
} from './pool/pool.js';
import { lowerLogSoftmax, lowerSoftmax } from './softmax/softmax.js';

/** Lowerings that are always loaded. */
const lowerings = {
  activation: lowerActivation,
  adaptiveAvgPool: lowerAdaptiveAvgPool,
  adaptiveMaxPool: lowerAdaptiveMaxPool,
  add: lowerAdd,
  avgPool: lowerAvgPool,
  batchNorm: lowerBatchNorm,
  channelShuffle: lowerChannelShuffle,
  concat: lowerConcat,
  conv2d: conv2dLowering(transformConstantWeights),
  dropout: lowerNeutral,
  fill: lowerFill,
  globalAvgPool: lowerGlobalAvgPool,
  linear: lowerLinear,
  logSoftmax: lowerLogSoftmax,
  maxPool: lowerMaxPool,
  mul: lowerMul,
  pad: lowerPad,
  reshape: lowerReshape,
  slice: lowerSlice,
  softmax: lowerSoftmax,
  stochasticDepth: lowerNeutral,
} as const satisfies { readonly [K in CommonOp]: Lowering<AttrsOf<K>> };

/** Adds the phases of nodes. */
export interface Lowerer {
  /** Adds the phases of a node, or of the fusion that the node ends. */
  readonly node: (context: LoweringContext, node: Node, fusion: Fusion | undefined) => void;
  /** Adds the phase that applies chains of updates. */
  readonly updates: (context: LoweringContext, chains: readonly UpdateChain[]) => void;
}

/** Adds the phases of a fusion, which `node` ends. */
function lowerFusion(context: LoweringContext, fusion: Fusion, node: Node): void {
  if (fusion.kind === 'invertedResidual') lowerInvertedResidual(context, fusion);
  else if (fusion.kind === 'shuffledConcat') lowerShuffledConcat(context, fusion, node);
  else lowerNormMatmul(context, fusion);
}

/**
 * Makes the lowerer for a graph. Loads the deferred lowerings only if the graph has such ops, or convolutions whose
 * weights change.
 */
export async function lowererFor({ nodes, updates }: Graph): Promise<Lowerer> {
  const changes = (weight: Node): boolean => !isParameter(weight) || updates.has(weight.attrs.name);
  const needsDeferred = nodes.some((node) =>
    isOp(node, 'conv2d')
      ? changes(node.inputs[1]!)
      : findDefinition(node) && !Object.hasOwn(lowerings, node.op),
  );
  const deferred = needsDeferred ? await import('./deferred.js') : undefined;
  // This cast drops the types of attributes; a node's attributes always are those of its op.
  const table = { ...lowerings, ...deferred?.deferredLowerings } as Record<string, unknown> as Record<
    OpName,
    Lowering<object>
  >;
  return {
    node(context, node, fusion) {
      if (fusion) lowerFusion(context, fusion, node);
      else table[node.op as OpName](context, node);
    },
    updates: (context, chains) => deferred?.lowerUpdateChains(context, chains),
  };
}
