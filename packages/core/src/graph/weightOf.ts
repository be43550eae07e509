/** Looks up the weights of a graph's parameters. */
import type { Tensor, Weights } from '../tensor/tensor.js';
import type { Node, ParameterAttrs } from './graph.js';

/**
 * Gives the weight of a parameter.
 * @throws Error if the weights lack it.
 */
export function weightOf({ graph, attrs: { name } }: Node<ParameterAttrs>, weights: Weights): Tensor {
  const value = weights.get(name);
  if (!value) throw new Error(`${graph.at('')}: there is no weight called ${name}.`);
  return value;
}
