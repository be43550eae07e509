/**
 * Decides what runs and where values lie, before any kernel is generated: pure steps from a graph to a
 * schedule.
 */
import type { Graph, Node } from '../../../graph/graph.js';
import { BACKWARD } from '../../../ops/define.js';
import { findDefinition } from '../../../ops/index.js';
import type { BatchTiling, TiledGraph } from './batchTile.js';
import { type Fusion, findFusions } from './fusions.js';
import { type Placement, placeValues } from './placement.js';
import { type UpdateChain, updateChains } from './updates.js';

/** A graph with all decisions that do not depend on the engine or the number of threads. */
export interface Schedule {
  /** Its nodes are in the order in which they run. */
  readonly graph: Graph;
  /** The boundary of a tiled graph. */
  readonly tiling?: BatchTiling;
  /** Fused nodes, by the last node of each fusion. */
  readonly fusions: ReadonlyMap<Node, Fusion>;
  /** Optimizer steps that the update phases compute in place. */
  readonly updateChains: readonly UpdateChain[];
  /** Allocations of all values but inputs and parameters. */
  readonly placement: Placement;
  /** True if the graph computes gradients, as a training step does. */
  readonly hasGradients: boolean;
}

/** Schedules a graph, tiled by `tileBatch`. */
export function scheduleGraph({ graph, tiling }: TiledGraph): Schedule {
  const fusions = findFusions(graph);
  const chains = updateChains(graph);
  const inUpdates = new Set(chains.flatMap(({ nodes }) => nodes));
  return {
    graph,
    tiling,
    fusions,
    updateChains: chains,
    placement: placeValues(graph, { fusions, inUpdates, tiling }),
    hasGradients: graph.nodes.some((node) => findDefinition(node)?.gradient === BACKWARD),
  };
}
