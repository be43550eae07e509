/**
 * Splits the graph of a step or of a model into the frozen trunk and the trained head, so that the trunk's
 * values can be computed once per picture and cached.
 */
import type { Node, Shape } from '@cnn/core';
import { extract, type Graph, isInput, isParameter, rewrite } from '@cnn/core/graph';
import { stepInputs } from './step.js';

/** Two parts of a training step or of a model. */
export interface Split {
  /** Inference graph from `x` to the features. */
  readonly trunk: Graph;
  /** Rest of the graph, with the features as inputs instead of `x`. */
  readonly head: Graph;
  /** Names and shapes (batch first) of the features. */
  readonly features: ReadonlyMap<string, Shape>;
}

/**
 * Cuts a graph after the values that depend on `x` and on fixed parameters only.
 * @param changing - true for the names of parameters that change. Default: all that the graph updates.
 * @throws RangeError if no layer before the first trained one is frozen.
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
      `${step.at('')}: 'cacheFeatures' needs frozen layers at the start of the model, but a trained layer reads the pictures directly; add that layer to 'freeze'.`,
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
