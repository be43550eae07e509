/** Makes a graph ready for inference: what exists for training only becomes nothing. */
import type { Graph } from '../graph/graph.js';
import { rewrite } from '../graph/rewrite.js';
import { findDefinition } from '../ops/index.js';

/** Dropout and stochastic depth pass their input on. */
export const forInference = (graph: Graph): Graph =>
  rewrite(graph, (node, inputs, _, copy) => (findDefinition(node)?.neutral ? inputs[0]! : copy()));
