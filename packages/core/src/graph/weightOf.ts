/** Looks up the values of a graph's parameters. */
import type { Tensor, Weights } from '../tensor/tensor.js';
import type { Node, ParameterAttrs } from './graph.js';

/** The values of a parameter. @throws Error where the weights lack it. */
export function weightOf({ graph, attrs: { name } }: Node<ParameterAttrs>, weights: Weights): Tensor {
  const value = weights.get(name);
  if (!value) throw new Error(`${graph.at('')}: there is no weight called ${name}.`);
  return value;
}
