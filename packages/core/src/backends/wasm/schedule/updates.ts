/**
 * Finds the updates that are computed in place. The steps of an optimizer are elementwise, so one pass over
 * the values of a parameter, its optimizer state and its averages computes and overwrites all of them. The
 * pass belongs to the update phases, which cannot be interrupted: a run applies the whole step or none of it.
 */
import { type Graph, isInput, isParameter, type Node, readersOf } from '../../../graph/graph.js';
import { findDefinition } from '../../../ops/index.js';
import { sizeOf } from '../../../tensor/shape.js';
import { PARAMETERS } from '../codegen/kernel.js';
import { isPixelShape } from '../memory/layout.js';
import { weightNodes } from './placement.js';

/** True if a node is a step of an optimizer. */
const isStep = (node: Node): boolean => findDefinition(node)?.role === 'optimizer';

/** Optimizer steps that one pass computes and applies. */
export interface UpdateChain {
  /** The steps in the order in which they are computed. */
  readonly nodes: readonly Node[];
  /** The parameters that change, each with the step that is its new value. */
  readonly updates: readonly (readonly [name: string, node: Node])[];
}

/** Most addresses that the kernel of a chain takes; its other parameter is a count. */
const MAX_ADDRESSES = PARAMETERS - 1;

/**
 * Finds all chains: steps that are connected by reading each other or the same changing parameters. A chain
 * is left out, and its steps are computed in the graph's order, if an output or a node outside reads one of
 * its values, if its values differ in size or order, if an update is no step, or if it needs more addresses
 * than a kernel takes.
 */
export function updateChains(graph: Graph): readonly UpdateChain[] {
  const readers = readersOf(graph);
  const outputs = new Set(graph.outputs.values());
  const weights = weightNodes(graph);
  const isRowMajor = (node: Node): boolean =>
    isInput(node) || isParameter(node) || weights.has(node) || !isPixelShape(node.shape);
  // Sets of steps and of the names of changing parameters.
  const connected = new DisjointSets();
  const changingName = (node: Node): string | undefined =>
    isParameter(node) && graph.updates.has(node.attrs.name) ? node.attrs.name : undefined;
  for (const node of graph.nodes)
    if (isStep(node))
      for (const input of node.inputs)
        if (isStep(input)) connected.union(node, input);
        else if (changingName(input)) connected.union(node, changingName(input)!);
  for (const [name, node] of graph.updates) connected.union(name, node);

  const chains = new Map<unknown, { nodes: Node[]; updates: (readonly [string, Node])[] }>();
  const chainOf = (member: unknown) => {
    const root = connected.find(member);
    const chain = chains.get(root) ?? { nodes: [], updates: [] };
    chains.set(root, chain);
    return chain;
  };
  for (const node of graph.nodes) if (isStep(node)) chainOf(node).nodes.push(node);
  for (const update of graph.updates) chainOf(update[1]).updates.push(update);
  return [...chains.values()].filter(({ nodes, updates }) => {
    const [first] = nodes;
    const members = new Set(nodes);
    const read = nodes.flatMap(({ inputs }) => inputs.filter((input) => !members.has(input)));
    const addresses = new Set([
      ...read.map((node) => (isParameter(node) ? node.attrs.name : node)),
      ...updates.map(([name]) => name),
    ]);
    return (
      first !== undefined &&
      updates.length > 0 &&
      updates.every(([, node]) => members.has(node)) &&
      nodes.every(
        (node) =>
          sizeOf(node.shape) === sizeOf(first.shape) &&
          !outputs.has(node) &&
          readers.get(node)!.every((reader) => members.has(reader)) &&
          node.inputs.every((input) => members.has(input) || isRowMajor(input)),
      ) &&
      addresses.size <= MAX_ADDRESSES
    );
  });
}

/** Disjoint sets, known as union-find. An element that no union has named is alone in its set. */
class DisjointSets {
  readonly #parents = new Map<unknown, unknown>();

  /** Returns the representative of an element's set. */
  find(element: unknown): unknown {
    let root = element;
    for (let parent = this.#parents.get(root); parent !== undefined; parent = this.#parents.get(root))
      root = parent;
    return root;
  }

  /** Merges the sets of two elements. */
  union(a: unknown, b: unknown): void {
    const [from, to] = [this.find(a), this.find(b)];
    if (from !== to) this.#parents.set(from, to);
  }
}
