/** Defines legal graphs. Every pass is tested to keep graphs legal, and `compile` checks them. */
import { ShapeError } from '../errors.js';
import { formatShape, type Shape, sameShape } from '../tensor/shape.js';
import { type Graph, isInput, isParameter, type Node } from './graph.js';

/** The part of an op's definition that the verifier needs. */
export interface ShapeRule {
  /** Computes the shape of the result; throws a ShapeError for inputs that do not fit. */
  shape(inputs: readonly Shape[], attrs: object): Shape;
}

/**
 * Checks that inputs precede their readers, that every op is known and has the shape of its rule, that names
 * are unique, that there is an output, and that updates have the shapes of their parameters.
 * @param rule - gives the shape rule of a node's op: `definitionOf`.
 * @throws ShapeError with the path and op of the node.
 */
export function verify(graph: Graph, rule: (node: Node) => ShapeRule): void {
  const fail = (node: Node, reason: string): never => {
    throw new ShapeError(`${graph.at(node.path)}: ${node.op} ${reason}.`);
  };
  const seen = new Set<Node>();
  const names = new Map<string, Node>();
  for (const node of graph.nodes) {
    for (const input of node.inputs)
      if (!seen.has(input)) fail(node, 'reads a node that does not precede it');
    if (seen.has(node)) fail(node, 'occurs in the graph twice');
    seen.add(node);
    if (isInput(node) || isParameter(node)) {
      const key = `${node.op} ${node.attrs.name}`;
      if (names.has(key)) fail(node, `'${node.attrs.name}' occurs in the graph twice`);
      names.set(key, node);
      continue;
    }
    const shape = rule(node).shape(
      node.inputs.map((input) => input.shape),
      node.attrs,
    );
    if (!sameShape(shape, node.shape))
      fail(node, `has the shape ${formatShape(node.shape)}, but its rule gives ${formatShape(shape)}`);
  }
  if (graph.outputs.size === 0 && graph.updates.size === 0)
    throw new ShapeError(`${graph.at('')}: the graph has no output.`);
  for (const node of [...graph.outputs.values(), ...graph.updates.values()])
    if (!seen.has(node)) fail(node, 'is an output but belongs to another graph');
  for (const [name, node] of graph.updates) {
    const parameter = names.get(`parameter ${name}`);
    if (!parameter) fail(node, `updates ${name}, which the graph does not have`);
    else if (!sameShape(parameter.shape, node.shape))
      fail(node, `updates ${name} of ${formatShape(parameter.shape)} with ${formatShape(node.shape)}`);
  }
}
