/** Chains of updates: what hangs together is one, and what is wanted elsewhere is left in the graph's order. */
import { describe, expect, test } from 'vitest';
import { Graph, type Node } from '../../../graph/graph.js';
import { relu } from '../../../ops/activation.js';
import { emit } from '../../../ops/define.js';
import { ops } from '../../../ops/index.js';
import { updateChains } from './updates.js';

/** What the first parameter and its velocity become. */
interface Updated {
  readonly descended: Node;
  readonly velocity: Node;
}

/** A graph with parameters `p0` and `p1`, a velocity for each, and updates as momentum makes them. */
function momentum(change: (graph: Graph, first: Updated) => void = () => undefined) {
  const graph = new Graph();
  const rate = graph.input('rate', [1]);
  const nodes = [0, 1].map((index) => {
    const shape = [3 + index, 2];
    const parameter = graph.parameter(`p${index}`, shape, true);
    const gradient = emit(ops.clipByNorm, [graph.input(`g${index}`, shape), rate], { maxNorm: 1 });
    const velocity = emit(ops.linearCombination, [graph.parameter(`v${index}`, shape, false), gradient], {
      a: 0.9,
      b: 1,
    });
    const descended = emit(ops.descend, [parameter, velocity, rate], { index: 0 });
    graph.updates.set(`p${index}`, descended).set(`v${index}`, velocity);
    return { descended, velocity };
  });
  change(graph, nodes[0]!);
  return updateChains(graph).map(({ nodes: chain, updates }) => [
    chain.map(({ op }) => op),
    updates.map(([name]) => name),
  ]);
}

const chain = (index: number) => [
  ['clipByNorm', 'linearCombination', 'descend'],
  [`p${index}`, `v${index}`],
];

describe('chains of updates', () => {
  test('each parameter has one, with its state', () => {
    expect(momentum()).toEqual([chain(0), chain(1)]);
  });

  test('an average of the new value belongs to it', () => {
    const [first] = momentum((graph, { descended }) => {
      const before = graph.parameter('average.p0', descended.shape, false);
      graph.updates.set('average.p0', emit(ops.linearCombination, [before, descended], { a: 0.9, b: 0.1 }));
    });
    expect(first).toEqual([
      ['clipByNorm', 'linearCombination', 'descend', 'linearCombination'],
      ['p0', 'v0', 'average.p0'],
    ]);
  });

  test('Adam on clipped gradients with an average of the weights is one', () => {
    const graph = new Graph();
    const shape = [5, 2];
    const value = (name: string) => graph.parameter(name, shape, false);
    const [rate, total, corrections] = [graph.input('r', [1]), graph.input('t', [1]), graph.input('c', [2])];
    const gradient = emit(ops.clipByNorm, [graph.input('g', shape), total], { maxNorm: 1 });
    const mean = emit(ops.linearCombination, [value('mean'), gradient], { a: 0.9, b: 0.1 });
    const square = emit(ops.squareAverage, [value('square'), gradient], { a: 0.9, b: 0.1 });
    const descended = emit(ops.adaptiveDescend, [value('p'), mean, square, rate, corrections], {
      index: 0,
      eps: 1e-8,
      decay: 0,
    });
    const average = emit(ops.linearCombination, [value('average'), descended], { a: 0.9, b: 0.1 });
    graph.updates.set('p', descended).set('mean', mean).set('square', square).set('average', average);
    expect(updateChains(graph).map(({ nodes }) => nodes.length)).toEqual([5]);
  });

  test.each<[string, (graph: Graph, first: Updated) => void]>([
    ['an output', (graph, { velocity }) => graph.outputs.set('velocity', velocity)],
    ['read by another op', (graph, { velocity }) => graph.outputs.set('y', relu(velocity))],
    ['an update that is no step', (graph, { descended }) => graph.updates.set('v0', relu(descended))],
  ])('there is none where a value is %s', (_, change) => {
    expect(momentum(change)).toEqual([chain(1)]);
  });

  test('parameters that read each other are one, unless their shapes differ', () => {
    const swapped = (second: readonly number[]) => {
      const graph = new Graph();
      const [a, b] = [graph.parameter('a', [4], true), graph.parameter('b', second, true)];
      const to = emit(ops.linearCombination, [a, graph.parameter('c', [4], false)], { a: 0.5, b: 0.5 });
      graph.updates.set('b', to).set('a', emit(ops.linearCombination, [b, b], { a: 1, b: 0 }));
      return updateChains(graph).map(({ updates }) => updates.map(([name]) => name));
    };
    expect(swapped([4])).toEqual([['b', 'a']]);
    expect(swapped([5])).toEqual([]);
  });
});
