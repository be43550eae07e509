/**
 * Splits the graph of a step or of a model into what never changes (the frozen trunk) and the rest, so that the
 * trunk's values can be computed once for each picture and kept.
 */
import { copyNode, Graph, isInput, isParameter, type Node, type Shape } from '@cnn/core';
import { stepInputs } from './step.js';

/** A training step, or a model, in two parts. */
export interface Split {
  /** From `x` to the features: an inference graph. */
  readonly trunk: Graph;
  /** The rest with the features as inputs in the place of `x`. */
  readonly head: Graph;
  /** Names and shapes (batch first) of the features. */
  readonly features: ReadonlyMap<string, Shape>;
}

/**
 * Cuts a graph where values stop being fixed: those computed from `x` and from parameters that do not change, which
 * are by default those that nothing in the graph updates.
 * @throws RangeError when nothing is frozen before the first layer that learns.
 */
export function splitFrozen(
  step: Graph,
  changing: (name: string) => boolean = (name) => step.updates.has(name),
): Split {
  const seesPictures = new Set<Node>();
  const changes = new Set<Node>();
  for (const node of step.nodes) {
    const isX = isInput(node) && node.attrs.name === stepInputs.x;
    if (isX || node.inputs.some((input) => seesPictures.has(input))) seesPictures.add(node);
    if (
      (isInput(node) && !isX) ||
      (isParameter(node) && changing(node.attrs.name)) ||
      node.inputs.some((input) => changes.has(input))
    )
      changes.add(node);
  }
  const fixed = (node: Node): boolean => seesPictures.has(node) && !changes.has(node);
  const frontier = new Set<Node>([...step.outputs.values()].filter(fixed));
  for (const node of step.nodes)
    if (changes.has(node)) for (const input of node.inputs) if (fixed(input)) frontier.add(input);
  if ([...frontier].some(isInput))
    throw new RangeError(
      `${step.at('')}: 'cacheFeatures' needs frozen layers at the start, but the pictures themselves reach a layer that learns; add it to 'freeze'.`,
    );
  const names = new Map([...frontier].map((node, index) => [node, `features${index}`]));
  return {
    trunk: extract(step, new Map([...names].map(([node, name]) => [name, node])), new Map(), new Map()),
    head: extract(step, step.outputs, step.updates, names),
    features: new Map([...names].map(([node, name]) => [name, node.shape])),
  };
}

/** The part of a graph that some values are computed with; nodes in `cut` become inputs of their names. */
function extract(
  graph: Graph,
  outputs: ReadonlyMap<string, Node>,
  updates: ReadonlyMap<string, Node>,
  cut: ReadonlyMap<Node, string>,
): Graph {
  const needed = new Set<Node>([...outputs.values(), ...updates.values()]);
  for (const node of [...graph.nodes].reverse())
    if (needed.has(node) && !cut.has(node)) for (const input of node.inputs) needed.add(input);
  const target = new Graph({ name: graph.name, mode: graph.mode });
  const became = new Map<Node, Node>();
  const follow = (node: Node): Node => became.get(node)!;
  for (const node of graph.nodes) {
    if (!needed.has(node)) continue;
    const name = cut.get(node);
    became.set(
      node,
      name === undefined ? copyNode(node, node.inputs.map(follow), target) : target.input(name, node.shape),
    );
  }
  for (const [name, node] of outputs) target.outputs.set(name, follow(node));
  for (const [name, node] of updates) target.updates.set(name, follow(node));
  return target;
}
