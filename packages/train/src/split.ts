/**
 * Splits the graph of a step or of a model into what never changes (the frozen trunk) and the rest, so that the
 * trunk's values can be computed once for each picture and kept.
 */
import { extract, type Graph, isInput, isParameter, type Node, rewrite, type Shape } from '@cnn/core';
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
  const fed = rewrite(step, (node, _inputs, target, copy) => {
    const name = names.get(node);
    return name === undefined ? copy() : target.input(name, node.shape);
  });
  return {
    trunk: extract(step, {
      outputs: new Map([...names].map(([node, name]) => [name, node])),
      updates: new Map(),
    }),
    head: extract(fed),
    features: new Map([...names].map(([node, name]) => [name, node.shape])),
  };
}
