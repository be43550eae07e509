/** Samples of sums and products, sums over dimensions, masks and constants. */
import type { Shape } from '@cnn/core';
import { formatShape } from '@cnn/core/graph';
import { perChannel, type Samples } from './sample.js';

const products: readonly (readonly [Shape, Shape])[] = [
  [
    [2, 5, 3, 7],
    [2, 5, 3, 7],
  ],
  [
    [2, 16, 4, 3],
    [2, 16, 1, 1],
  ],
  [
    [2, 7, 5, 5],
    [2, 7, 1, 1],
  ],
  [
    [3, 4, 2, 2],
    [3, 1, 1, 1],
  ],
  [
    [3, 10],
    [3, 10],
  ],
];

const sums: readonly (readonly [Shape, Shape])[] = [
  [
    [2, 5, 3, 4],
    [2, 5, 1, 1],
  ],
  [
    [3, 8, 2, 2],
    [3, 1, 1, 1],
  ],
  [
    [2, 4, 3, 3],
    [1, 4, 1, 1],
  ],
];

const neutral = [{ name: 'neutral', inputs: [{ shape: [2, 3, 4, 5] }], attrs: { p: 0.5 } }];

export const arithmeticSamples = {
  add: [
    { name: 'plain', inputs: [{ shape: [2, 5, 3, 7] }, { shape: [2, 5, 3, 7] }], attrs: {} },
    { name: 'rows', inputs: [{ shape: [3, 10] }, { shape: [3, 10] }], attrs: {} },
    {
      name: 'relu',
      inputs: [{ shape: [1, 16, 4, 4] }, { shape: [1, 16, 4, 4] }],
      attrs: { activation: { fn: 'relu' } },
    },
  ],
  mul: products.map(([a, b]) => ({
    name: `${formatShape(a)} by ${formatShape(b)}`,
    inputs: [{ shape: a }, { shape: b }],
    attrs: {},
  })),
  channelSum: perChannel.map((shape) => ({ name: formatShape(shape), inputs: [{ shape }], attrs: {} })),
  sumTo: sums.map(([x, shape]) => ({
    name: `${formatShape(x)} to ${formatShape(shape)}`,
    inputs: [{ shape: x }],
    attrs: { shape },
  })),
  dropout: neutral,
  stochasticDepth: neutral,
  randomMask: [
    {
      name: 'values',
      inputs: [{ shape: [1], values: [17] }],
      attrs: { keep: 0.8, shape: [2, 5, 3, 4], stream: 0 },
    },
    {
      name: 'rows',
      inputs: [{ shape: [1], values: [16777215] }],
      attrs: { keep: 0.5, shape: [16, 1, 1, 1], stream: 3 },
    },
  ],
  fill: [
    { name: 'scalar', inputs: [], attrs: { value: 1, shape: [] } },
    { name: 'picture', inputs: [], attrs: { value: 0.5, shape: [2, 5, 3, 3] } },
  ],
} satisfies Partial<Samples>;
