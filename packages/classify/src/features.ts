/** Turns a classifier into a network that gives features: the values before its last layer, or those of any module. */
import { flatten, globalAvgPool, type Module, module, type Node } from '@cnn/core';
import { isParameter } from '@cnn/core/graph';
import { ClassifyError } from './errors.js';

/**
 * Makes a model with the parameters of another one that gives its features, n x c.
 * @param at - path of the module whose output is taken. Default: the input of the last layer with weights.
 */
export const featureModel = (model: Module, at: string | undefined, name: string): Module =>
  module(model.children, (children, x) => {
    // Nodes that the features do not depend on, the head among them, are dropped when the graph is compiled.
    const output = model.forward(children, x);
    return pooled(at === undefined ? headInput(output, name) : moduleOutput(x, at, name));
  });

/** Averages pictures over their pixels; other values become one row. */
const pooled = (node: Node): Node => (node.shape.length === 4 ? flatten(globalAvgPool(node)) : flatten(node));

/** Finds the input of the head, the last linear layer or convolution, by going back from the output. */
function headInput(output: Node, name: string): Node {
  for (let node: Node | undefined = output; node; ) {
    const [x, ...others]: readonly Node[] = node.inputs.filter((input) => !isParameter(input));
    if (x && (node.op === 'linear' || node.op === 'conv2d')) return x;
    node = others.length > 0 ? undefined : x;
  }
  throw new ClassifyError(
    'ERR_NO_FEATURES',
    `${name} does not end in a linear layer or a convolution, so its features are not known. Name a module with the option at.`,
  );
}

function moduleOutput({ graph }: Node, at: string, name: string): Node {
  const node = graph.modules.get(at);
  if (node) return node;
  throw new ClassifyError(
    'ERR_NO_FEATURES',
    `${name} has no module at '${at}' to take features of; there are ${[...graph.modules.keys()].filter(Boolean).join(', ')}.`,
  );
}
