/** For tests: a network of any length, of which one knows how long it runs. */
import { Graph, type Node } from '../../graph/graph.js';
import { emit, ops } from '../../ops/index.js';
import { sizeOf } from '../../tensor/shape.js';
import type { Tensor, Weights } from '../../tensor/tensor.js';
import { noise } from './kernels/testKernel.js';

const tensorOf = (shape: readonly number[], seed: number): Tensor => ({
  shape,
  data: noise(sizeOf(shape), seed),
});

/** Convolutions in a row: with enough of them there is a middle to abort in. */
export function network(layers: number, channels: number, pixels: number) {
  const graph = new Graph({ name: 'network' });
  const weights: Weights = new Map();
  let x: Node = graph.input('x', [1, channels, pixels, pixels]);
  for (let layer = 0; layer < layers; layer++) {
    const name = `layer${layer}.weight`;
    weights.set(name, {
      shape: [channels, channels, 3, 3],
      data: noise(channels * channels * 9, layer).map((u) => u / Math.sqrt(channels * 3)),
    });
    const weight = graph.parameter(name, [channels, channels, 3, 3], true);
    x = emit(
      ops.conv2d,
      [x, weight],
      { stride: [1, 1], padding: [1, 1, 1, 1], dilation: [1, 1], groups: 1, activation: { fn: 'relu' } },
      `layer${layer}`,
    );
  }
  graph.outputs.set('y', x);
  return { graph, weights, feeds: new Map([['x', tensorOf(x.shape, 1)]]) };
}
