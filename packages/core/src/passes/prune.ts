/** Removes dead nodes: no output and no update depends on them. Inputs stay, so that a run's feeds do too. */
import { extract } from '../graph/extract.js';
import { type Graph, isInput } from '../graph/graph.js';

/** Makes the same graph without dead nodes, and without their entries in `modules`. */
export const prune = (graph: Graph): Graph => extract(graph, { kept: graph.nodes.filter(isInput) });
