/** Prints a graph as text, one node a line, for tests and reports. */
import { formatShape } from '../tensor/shape.js';
import { type Graph, isInput, isParameter, type Node } from './graph.js';

/**
 * Prints a graph as lines such as `%2 = conv2d(%1, conv1.weight) stride=2,2 : 1x64x112x112  # conv1`.
 * Parameters have no line, only their names as arguments; outputs and updates are the last lines.
 */
export function printGraph(graph: Graph): string {
  const labels = new Map<Node, string>();
  const lines: string[] = [];
  for (const node of graph.nodes) {
    if (isParameter(node)) {
      labels.set(node, node.attrs.name);
      continue;
    }
    const label = isInput(node) ? `%${node.attrs.name}` : `%${lines.length}`;
    labels.set(node, label);
    const call = isInput(node)
      ? 'input'
      : `${node.op}(${node.inputs.map((input) => labels.get(input)).join(', ')})`;
    const attrs = isInput(node) ? '' : formatAttrs(node.attrs);
    lines.push(
      `${label} = ${call}${attrs} : ${formatShape(node.shape)}${node.path ? `  # ${node.path}` : ''}`,
    );
  }
  for (const [name, node] of graph.outputs) lines.push(`return ${name} = ${labels.get(node)}`);
  for (const [name, node] of graph.updates) lines.push(`update ${name} = ${labels.get(node)}`);
  return lines.join('\n');
}

function formatAttrs(attrs: object): string {
  return Object.entries(attrs)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${typeof value === 'object' ? formatValue(value as object) : value}`)
    .join('');
}

const formatValue = (value: object): string =>
  Array.isArray(value)
    ? value.join(',')
    : Object.entries(value)
        .map(([, part]) => part)
        .join(':');
