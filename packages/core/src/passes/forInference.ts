/** Prepares a traced graph for inference. */
import type { Graph } from '../graph/graph.js';
import { rewrite } from '../graph/rewrite.js';

/** Removes dropout and stochastic depth. A traced batch norm uses its running statistics already. */
export const forInference = (graph: Graph): Graph =>
  rewrite(graph, (node, inputs, _, copy) =>
    node.op === 'dropout' || node.op === 'stochasticDepth' ? inputs[0]! : copy(),
  );
