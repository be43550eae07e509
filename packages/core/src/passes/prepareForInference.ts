/** The pipeline from a traced graph to the one that a back end runs for inference. */
import type { Graph } from '../graph/graph.js';
import { verify } from '../graph/verify.js';
import { definitionOf } from '../ops/index.js';
import type { Weights } from '../tensor/tensor.js';
import { type Evaluated, evaluateConstants } from './evaluateConstants.js';
import { foldBatchNorm } from './foldBatchNorm.js';
import { forInference } from './forInference.js';
import { fuse } from './fuse.js';
import { prune } from './prune.js';

/** The graph as it is run for inference: dropout gone, batch norm folded, activations fused, dead nodes dropped. */
export const simplify = (graph: Graph): Graph => prune(fuse(foldBatchNorm(forInference(graph))));

/**
 * Simplifies a graph, makes parameters of what depends on parameters alone, and checks that the result is legal.
 * @throws ShapeError for a graph that is not legal.
 */
export function prepareForInference(graph: Graph, weights: Weights): Evaluated {
  const prepared = evaluateConstants(simplify(graph), weights);
  verify(prepared.graph, definitionOf);
  return prepared;
}
