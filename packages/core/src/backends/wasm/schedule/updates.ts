/**
 * Which updates are computed where they are taken on. The steps of an optimizer are elementwise: all that a
 * parameter, its state and its averages become can be computed in one pass over their values and written in
 * their place. That pass belongs to the phases that may not be stopped, so a run leaves all of a step or nothing.
 */
import { type Graph, isInput, isParameter, type Node, readersOf } from '../../../graph/graph.js';
import { findDefinition } from '../../../ops/index.js';
import { sizeOf } from '../../../tensor/shape.js';
import { PARAMETERS } from '../codegen/kernel.js';
import { isPixelShape } from '../memory/layout.js';
import { weightNodes } from './placement.js';

const isStep = (node: Node): boolean => findDefinition(node)?.role === 'optimizer';

/** Nodes that are computed together when updates are taken on, in order, and the updates that they are. */
export interface UpdateChain {
  readonly nodes: readonly Node[];
  readonly updates: readonly (readonly [name: string, node: Node])[];
}

/** Addresses that the kernel of a chain may have: its other parameter is a count. */
const MOST_ADDRESSES = PARAMETERS - 1;

/**
 * Finds all chains: nodes that hang together by reading each other or the same changing parameters. A chain whose
 * results are wanted elsewhere is left to the graph's order.
 */
export function updateChains(graph: Graph): readonly UpdateChain[] {
  const readers = readersOf(graph);
  const outputs = new Set(graph.outputs.values());
  const weights = weightNodes(graph);
  const isRowMajor = (node: Node): boolean =>
    isInput(node) || isParameter(node) || weights.has(node) || !isPixelShape(node.shape);
  const groups = new Groups();
  const changing = (node: Node): string | undefined =>
    isParameter(node) && graph.updates.has(node.attrs.name) ? node.attrs.name : undefined;
  for (const node of graph.nodes)
    if (isStep(node))
      for (const input of node.inputs)
        if (isStep(input)) groups.join(node, input);
        else if (changing(input)) groups.join(node, changing(input)!);
  for (const [name, node] of graph.updates) groups.join(name, node);

  const found = new Map<unknown, { nodes: Node[]; updates: (readonly [string, Node])[] }>();
  const chainOf = (member: unknown) => {
    const root = groups.root(member);
    const chain = found.get(root) ?? { nodes: [], updates: [] };
    found.set(root, chain);
    return chain;
  };
  for (const node of graph.nodes) if (isStep(node)) chainOf(node).nodes.push(node);
  for (const update of graph.updates) chainOf(update[1]).updates.push(update);
  return [...found.values()].filter(({ nodes, updates }) => {
    const [first] = nodes;
    const own = new Set(nodes);
    const read = nodes.flatMap(({ inputs }) => inputs.filter((input) => !own.has(input)));
    const addresses = new Set([
      ...read.map((node) => (isParameter(node) ? node.attrs.name : node)),
      ...updates.map(([name]) => name),
    ]);
    return (
      first !== undefined &&
      updates.length > 0 &&
      updates.every(([, node]) => own.has(node)) &&
      nodes.every(
        (node) =>
          sizeOf(node.shape) === sizeOf(first.shape) &&
          !outputs.has(node) &&
          readers.get(node)!.every((reader) => own.has(reader)) &&
          node.inputs.every((input) => own.has(input) || isRowMajor(input)),
      ) &&
      addresses.size <= MOST_ADDRESSES
    );
  });
}

/** Sets that grow together. */
class Groups {
  readonly #parents = new Map<unknown, unknown>();

  root(member: unknown): unknown {
    let at = member;
    for (let above = this.#parents.get(at); above !== undefined; above = this.#parents.get(at)) at = above;
    return at;
  }

  join(a: unknown, b: unknown): void {
    const [from, to] = [this.root(a), this.root(b)];
    if (from !== to) this.#parents.set(from, to);
  }
}
