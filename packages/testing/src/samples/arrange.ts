/** Samples of the ops that copy or rearrange values. */
import type { Shape } from '@cnn/core';
import { formatShape, ops } from '@cnn/core/graph';
import type { Samples } from './sample.js';

const slices = (
  [
    [[2, 19, 3, 4], 1, 4, 12, 1],
    [[2, 16, 3, 4], 1, 8, 16, 1],
    [[2, 5, 7, 4], 2, 0, 7, 2],
    [[1, 5, 4, 8], 3, 1, 8, 3],
    [[4, 6], 1, 0, 3, 1],
    [[4, 6], 0, 1, 4, 1],
  ] as const
).map(([shape, axis, start, end, step]) => ({
  name: `${formatShape(shape)} axis ${axis} ${start} to ${end} step ${step}`,
  shape,
  attrs: { axis, start, end, step },
}));

const reshapes: readonly (readonly [Shape, Shape])[] = [
  [
    [2, 3, 4, 5],
    [2, 60],
  ],
  [
    [2, 16, 3, 3],
    [2, 144],
  ],
  [
    [3, 8],
    [3, 8, 1, 1],
  ],
  [
    [2, 24],
    [2, 6, 2, 2],
  ],
];

const shuffles: readonly (readonly [Shape, groups: number])[] = [
  [[2, 6, 3, 4], 2],
  [[1, 12, 2, 2], 3],
  [[1, 32, 3, 3], 2],
  [[1, 20, 3, 3], 5],
];

export const arrangeSamples = {
  concat: [
    {
      name: 'channels',
      inputs: [{ shape: [2, 3, 4, 5] }, { shape: [2, 1, 4, 5] }, { shape: [2, 16, 4, 5] }],
      attrs: { axis: 1 },
    },
    { name: 'rows', inputs: [{ shape: [2, 3, 4, 5] }, { shape: [2, 3, 2, 5] }], attrs: { axis: 2 } },
    { name: 'columns', inputs: [{ shape: [1, 8, 3, 2] }, { shape: [1, 8, 3, 3] }], attrs: { axis: 3 } },
    { name: 'batch', inputs: [{ shape: [1, 5] }, { shape: [2, 5] }], attrs: { axis: 0 } },
    { name: 'features', inputs: [{ shape: [2, 5] }, { shape: [2, 4] }], attrs: { axis: 1 } },
  ],
  slice: slices.map(({ name, shape, attrs }) => ({ name, inputs: [{ shape }], attrs })),
  sliceGrad: slices.map(({ name, shape, attrs }) => ({
    name,
    inputs: [{ shape: ops.slice.shape([shape], attrs) }, { shape }],
    attrs,
  })),
  pad: [
    {
      name: 'edges',
      inputs: [{ shape: [2, 3, 4, 5] }],
      attrs: { before: [0, 0, 0, 1], after: [0, 0, 3, 2] },
    },
    {
      name: 'wide',
      inputs: [{ shape: [1, 16, 4, 5] }],
      attrs: { before: [0, 0, 1, 1], after: [0, 0, 1, 1] },
    },
    {
      name: 'channels',
      inputs: [{ shape: [2, 4, 3, 3] }],
      attrs: { before: [0, 2, 0, 0], after: [0, 3, 0, 0] },
    },
  ],
  reshape: reshapes.map(([from, shape]) => ({
    name: `${formatShape(from)} to ${formatShape(shape)}`,
    inputs: [{ shape: from }],
    attrs: { shape },
  })),
  channelShuffle: shuffles.map(([shape, groups]) => ({
    name: `${formatShape(shape)} in ${groups}`,
    inputs: [{ shape }],
    attrs: { groups },
  })),
} satisfies Partial<Samples>;
