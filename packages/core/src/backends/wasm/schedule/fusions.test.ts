import { describe, expect, test } from 'vitest';
import { Graph, type Node } from '../../../graph/graph.js';
import { adaptiveAvgPool } from '../../../ops/adaptivePool.js';
import { mul } from '../../../ops/arithmetic.js';
import { channelShuffle, concat, slice } from '../../../ops/arrange.js';
import { emit } from '../../../ops/define.js';
import { ops } from '../../../ops/index.js';
import { findFusions } from './fusions.js';
import { placeValues } from './placement.js';

/** Adds a convolution and its weight; it is depthwise if `groups` is the number of channels. */
function conv(x: Node, out: number, kernel = 1, groups = 1): Node {
  const channels = x.shape[1]! / groups;
  const weight = x.graph.parameter(`w${x.graph.nodes.length}`, [out, channels, kernel, kernel], true);
  const pad = (kernel - 1) / 2;
  return emit(ops.conv2d, [x, weight], {
    stride: [1, 1],
    padding: [pad, pad, pad, pad],
    dilation: [1, 1],
    groups,
  });
}
const depthwise = (x: Node): Node => conv(x, x.shape[1]!, 3, x.shape[1]!);
const graphOf = (build: (x: Node) => Node): Graph => {
  const graph = new Graph();
  graph.outputs.set('y', build(graph.input('x', [1, 8, 6, 6])));
  return graph;
};
/** Lists the ops of each fusion. */
const found = (graph: Graph) =>
  [...findFusions(graph).values()].map(({ nodes }) => nodes.map(({ op }) => op));

describe('inverted residuals', () => {
  const residual = graphOf((x) => conv(depthwise(conv(x, 24)), 8));

  test('are fused, and only the last value is stored', () => {
    expect(found(residual)).toEqual([['conv2d', 'conv2d', 'conv2d']]);
    const { values, skipped } = placeValues(residual, { fusions: findFusions(residual) });
    expect([...values.keys()]).toEqual([residual.output]);
    expect(skipped.size).toBe(2);
  });

  test('are fused without expansion too, and with squeeze-and-excitation', () => {
    expect(found(graphOf((x) => conv(depthwise(x), 16)))).toEqual([['conv2d', 'conv2d']]);
    const squeezed = graphOf((x) => {
      const filtered = depthwise(conv(x, 24));
      return conv(mul(filtered, conv(conv(adaptiveAvgPool(1)(filtered), 8), 24)), 8);
    });
    expect(found(squeezed)).toEqual([
      ['conv2d', 'conv2d', 'adaptiveAvgPool', 'conv2d', 'conv2d', 'mul', 'conv2d'],
    ]);
  });

  test('include the first convolution before them and the depthwise convolution after them', () => {
    const graph = new Graph();
    const stem = conv(graph.input('x', [1, 3, 6, 6]), 8, 3);
    graph.outputs.set('y', conv(depthwise(conv(depthwise(conv(depthwise(stem), 16)), 8)), 8));
    expect(found(graph)).toEqual([
      ['conv2d', 'conv2d', 'conv2d', 'conv2d'],
      ['conv2d', 'conv2d', 'conv2d'],
    ]);
  });

  test('end at a value that is an output or that another node reads', () => {
    const middle = graphOf((x) => conv(depthwise(conv(x, 24)), 8));
    const [expand, filter] = middle.nodes.filter(({ op }) => op === 'conv2d') as [Node, Node];
    middle.outputs.set('expanded', expand);
    expect(found(middle)).toEqual([['conv2d', 'conv2d']]);
    middle.outputs.set('filtered', filter);
    expect(found(middle)).toEqual([]);
    expect(
      found(
        graphOf((x) => {
          const filtered = depthwise(conv(x, 24));
          return concat([conv(filtered, 8), filtered]);
        }),
      ),
    ).toEqual([]);
  });

  test('are not fused if a run changes a weight', () => {
    const graph = graphOf((x) => conv(depthwise(conv(x, 24)), 8));
    const weight = graph.output.inputs[1]!;
    graph.updates.set((weight.attrs as { name: string }).name, weight);
    expect(found(graph)).toEqual([]);
  });
});

test('a concatenation and a channel shuffle are fused if the parts are the groups', () => {
  const shuffled = (groups: number) =>
    graphOf((x) => channelShuffle(groups)(concat([conv(x, 8), slice(1, 0, 8)(conv(x, 16))])));
  expect(found(shuffled(2))).toEqual([['concat', 'channelShuffle']]);
  expect(found(shuffled(4))).toEqual([]);
});

describe('batch norms before 1x1 convolutions', () => {
  const normed = (x: Node): Node => {
    const statistics = ['weight', 'bias', 'mean', 'variance'].map((name) =>
      x.graph.parameter(name, [x.shape[1]!], true),
    );
    return emit(ops.batchNorm, [x, ...statistics], { eps: 1e-5, momentum: 0.1 });
  };

  test('are fused, unless the convolution expands an inverted residual', () => {
    expect(found(graphOf((x) => conv(normed(x), 16)))).toEqual([['batchNorm', 'conv2d']]);
    expect(found(graphOf((x) => conv(depthwise(conv(normed(x), 16)), 8)))).toEqual([
      ['conv2d', 'conv2d', 'conv2d'],
    ]);
  });

  test('are not fused if the window is larger, another node reads the norm, or the statistics change', () => {
    expect(found(graphOf((x) => conv(normed(x), 16, 3)))).toEqual([]);
    expect(
      found(
        graphOf((x) => {
          const values = normed(x);
          return concat([conv(values, 8), values]);
        }),
      ),
    ).toEqual([]);
    const graph = graphOf((x) => conv(normed(x), 16));
    graph.updates.set(
      'mean',
      graph.nodes.find(
        (node) => node.op === 'parameter' && (node.attrs as { name: string }).name === 'mean',
      )!,
    );
    expect(found(graph)).toEqual([]);
  });
});
