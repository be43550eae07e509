/** Live ranges and extraction on small printed graphs. */
import { expect, test } from 'vitest';
import { relu, sigmoid, tanh } from '../ops/activation.js';
import { add } from '../ops/arithmetic.js';
import { extract } from './extract.js';
import { Graph, type Node } from './graph.js';
import { lastReads, lastUses } from './liveness.js';
import { printGraph } from './print.js';

/** x -> a -> b -> y, where y reads a too; nothing reads `dead`. */
function diamond() {
  const graph = new Graph();
  const x = graph.input('x', [1, 2]);
  const a = relu(x);
  const b = tanh(a);
  const dead = sigmoid(a);
  const y = add(a, b);
  graph.outputs.set('y', y);
  graph.modules.set('first', a).set('last', y);
  return { graph, x, a, b, dead, y };
}

test('a value is last used where it is read last, an output at the end, one that nothing reads at itself', () => {
  const { graph, x, a, b, dead, y } = diamond();
  const last = lastUses(graph);
  expect([x, a, b, dead, y].map((node) => last.get(node))).toEqual([1, 4, 4, 3, 5]);
});

test('nodes that are computed together with a later one read there', () => {
  const { graph, x, a, b } = diamond();
  const last = lastUses(graph, { computedAt: (node: Node) => (node === a ? b : node), kept: [b] });
  expect([last.get(x), last.get(b)]).toEqual([2, 5]);
});

test('the last read of any values', () => {
  expect([...lastReads([['a'], ['a', 'b'], ['c', 'a'], []])]).toEqual([
    ['a', 2],
    ['b', 1],
    ['c', 2],
  ]);
});

test('a part of a graph has what its results need, and the modules among them', () => {
  const { graph, a } = diamond();
  const part = extract(graph, { outputs: new Map([['a', a]]) });
  expect(printGraph(part)).toBe('%x = input : 1x2\n%1 = activation(%x) fn=relu : 1x2\nreturn a = %1');
  expect([...part.modules.keys()]).toEqual(['first']);
  expect(printGraph(extract(graph))).not.toContain('sigmoid');
  const last = graph.nodes.find(({ attrs }) => 'fn' in attrs && attrs.fn === 'sigmoid')!;
  expect(printGraph(extract(graph, { kept: [last] }))).toContain('sigmoid');
});
