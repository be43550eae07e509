/** Places every value of a graph in one arena: addresses are reused as soon as a value is dead. */
import { elementsOf, type Graph, isParameter, type Node } from '../graph/graph.js';

/** What a back end says about its values. */
export interface MemoryRules {
  /** Bytes a node's value takes; 0 keeps it out of the arena. Default: 4 for each element, parameters 0. */
  bytes?(node: Node): number;
  /** An input whose place the result may take, if the input dies here. Default: none. */
  overwrites?(node: Node): Node | undefined;
  /** Every address is a multiple of this. Default 64, a cache line. */
  readonly alignment?: number;
}

/** Where everything lies. */
export interface MemoryPlan {
  /** Byte offset of each placed node's value. */
  readonly offsets: ReadonlyMap<Node, number>;
  /** Size of the arena in bytes. */
  readonly bytes: number;
}

interface Block {
  readonly offset: number;
  readonly bytes: number;
  /** Index of the last node that reads it. */
  end: number;
}

/**
 * First fit in execution order: each value goes to the lowest gap that holds it among those alive at
 * that moment. Outputs and updates live to the end.
 */
export function planMemory(graph: Graph, rules: MemoryRules = {}): MemoryPlan {
  const { alignment = 64 } = rules;
  const bytesOf = rules.bytes ?? ((node) => (isParameter(node) ? 0 : elementsOf(node) * 4));
  const lastUse = new Map<Node, number>();
  for (const [index, node] of graph.nodes.entries())
    for (const input of node.inputs) lastUse.set(input, index);
  for (const kept of [...graph.outputs.values(), ...graph.updates.values()])
    lastUse.set(kept, graph.nodes.length);

  const places = new Map<Node, Block>();
  let alive: Block[] = [];
  let total = 0;
  for (const [index, node] of graph.nodes.entries()) {
    const bytes = Math.ceil(bytesOf(node) / alignment) * alignment;
    if (bytes === 0) continue;
    const end = lastUse.get(node) ?? index;
    const overwritten = rules.overwrites?.(node);
    const reused = overwritten && places.get(overwritten);
    if (reused && reused.end === index && reused.bytes >= bytes) {
      reused.end = end;
      places.set(node, reused);
      continue;
    }
    alive = alive.filter((block) => block.end >= index).sort((a, b) => a.offset - b.offset);
    let offset = 0;
    for (const block of alive) {
      if (block.offset - offset >= bytes) break;
      offset = Math.max(offset, block.offset + block.bytes);
    }
    const block = { offset, bytes, end };
    alive.push(block);
    places.set(node, block);
    total = Math.max(total, offset + bytes);
  }
  return { offsets: new Map([...places].map(([node, block]) => [node, block.offset])), bytes: total };
}
