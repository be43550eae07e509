/** Prepares a traced graph for inference. */
import type { Graph } from '../graph/graph.js';
import { rewrite } from '../graph/rewrite.js';
import { findDefinition } from '../ops/index.js';

/**
 * Removes neutral ops (dropout, stochastic depth). A traced batch norm uses its running statistics already.
 */
export const forInference = (graph: Graph): Graph =>
  rewrite(graph, (node, inputs, _, copy) => (findDefinition(node)?.neutral ? inputs[0]! : copy()));
