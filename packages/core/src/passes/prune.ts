/** Drops every node that no output and no update needs. Inputs stay, so that a run's feeds stay the same. */
import { extract } from '../graph/extract.js';
import { type Graph, isInput } from '../graph/graph.js';

/** The same graph without dead nodes; of the module outputs, those that are left. */
export const prune = (graph: Graph): Graph => extract(graph, { kept: graph.nodes.filter(isInput) });
