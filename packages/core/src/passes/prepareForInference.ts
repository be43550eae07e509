/** Prepares traced graphs for inference: the passes before a back end. */
import type { Graph } from '../graph/graph.js';
import { verify } from '../graph/verify.js';
import { definitionOf } from '../ops/index.js';
import type { Weights } from '../tensor/tensor.js';
import { type Evaluated, evaluateConstants } from './evaluateConstants.js';
import { foldBatchNorm } from './foldBatchNorm.js';
import { forInference } from './forInference.js';
import { fuse } from './fuse.js';
import { prune } from './prune.js';

/**
 * Simplifies a graph for inference: removes dropout, folds batch norms, fuses activations, drops dead nodes.
 */
export const simplify = (graph: Graph): Graph => prune(fuse(foldBatchNorm(forInference(graph))));

/**
 * Simplifies a graph, replaces constants by parameters (`evaluateConstants`), and verifies the result.
 * @throws ShapeError for an illegal graph.
 */
export function prepareForInference(graph: Graph, weights: Weights): Evaluated {
  const prepared = evaluateConstants(simplify(graph), weights);
  verify(prepared.graph, definitionOf);
  return prepared;
}
