/** Samples of convolution, of the linear layer and of their gradients. */
import type { Activation, Shape } from '@cnn/core';
import { type Conv2dAttrs, ops, symmetric } from '@cnn/core/graph';
import type { Samples } from './sample.js';

interface Conv2dCase {
  readonly name: string;
  readonly x: Shape;
  readonly w: Shape;
  readonly attrs: Conv2dAttrs;
}

/**
 * Makes a convolution.
 * @param attrs - attributes that differ from stride 1, padding 0, dilation 1, groups 1.
 */
const convolution = (name: string, x: Shape, w: Shape, attrs: Partial<Conv2dAttrs> = {}): Conv2dCase => ({
  name,
  x,
  w,
  attrs: { stride: [1, 1], padding: symmetric(0), dilation: [1, 1], groups: 1, ...attrs },
});

const convolutions: readonly Conv2dCase[] = [
  convolution('1x1', [2, 5, 4, 3], [7, 5, 1, 1]),
  convolution('1x1 wide', [1, 32, 9, 7], [48, 32, 1, 1]),
  convolution('1x1 stride 2', [1, 8, 7, 6], [6, 8, 1, 1], { stride: [2, 2] }),
  convolution('3x3 padded', [2, 3, 8, 9], [8, 3, 3, 3], { padding: symmetric(1) }),
  convolution('3x3 wide', [1, 16, 14, 13], [24, 16, 3, 3], { padding: symmetric(1) }),
  convolution('3x3 stride 2', [1, 4, 9, 8], [6, 4, 3, 3], { stride: [2, 2], padding: symmetric(1) }),
  convolution('7x7 stem', [1, 3, 20, 18], [16, 3, 7, 7], { stride: [2, 2], padding: symmetric(3) }),
  convolution('11x11 stride 4', [1, 3, 31, 27], [8, 3, 11, 11], { stride: [4, 4], padding: symmetric(2) }),
  convolution('5x5 valid', [1, 6, 14, 14], [16, 6, 5, 5]),
  convolution('1x7', [1, 4, 6, 9], [6, 4, 1, 7], { padding: [0, 3, 0, 3] }),
  convolution('dilated', [1, 3, 11, 12], [4, 3, 3, 3], { dilation: [2, 3], padding: symmetric(2) }),
  convolution('uneven padding', [1, 3, 8, 8], [5, 3, 3, 3], { stride: [2, 2], padding: [0, 0, 1, 1] }),
  convolution('groups', [2, 8, 6, 7], [12, 2, 3, 3], { groups: 4, padding: symmetric(1) }),
  convolution('groups 1x1', [1, 24, 5, 4], [12, 8, 1, 1], { groups: 3 }),
  convolution('depthwise 3x3', [1, 19, 8, 7], [19, 1, 3, 3], { groups: 19, padding: symmetric(1) }),
  convolution('depthwise 3x3 stride 2', [2, 16, 9, 10], [16, 1, 3, 3], {
    groups: 16,
    stride: [2, 2],
    padding: symmetric(1),
  }),
  convolution('depthwise 5x5', [1, 8, 9, 8], [8, 1, 5, 5], { groups: 8, padding: symmetric(2) }),
  convolution('depthwise multiplier', [1, 4, 6, 6], [8, 1, 3, 3], { groups: 4, padding: symmetric(1) }),
  convolution('3x3 deep', [1, 32, 7, 8], [32, 32, 3, 3], { padding: symmetric(1) }),
  convolution('one channel', [2, 1, 12, 11], [6, 1, 5, 5]),
  convolution('to one channel', [1, 16, 5, 5], [1, 16, 1, 1]),
  convolution('1x1 picture', [3, 10, 1, 1], [20, 10, 1, 1]),
];

const resultOf = ({ x, w, attrs }: Conv2dCase): Shape => ops.conv2d.shape([x, w], attrs);

/** Makes samples of a gradient op. @param pick - selects its two inputs and its result from x, w and y. */
const gradients = (pick: (x: Shape, w: Shape, y: Shape) => readonly [Shape, Shape, Shape]) =>
  convolutions.map((convolution) => {
    const { name, x, w, attrs } = convolution;
    const [first, second, shape] = pick(x, w, resultOf(convolution));
    return { name, inputs: [{ shape: first }, { shape: second }], attrs: { ...attrs, shape } };
  });

const rows = [
  [1, 9, 7],
  [3, 16, 10],
  [5, 1, 4],
  [2, 100, 48],
  [9, 33, 17],
] as const;

export const productSamples = {
  conv2d: [
    ...convolutions.flatMap(({ name, x, w, attrs }) => [
      { name, inputs: [{ shape: x }, { shape: w }], attrs },
      { name: `${name}, bias`, inputs: [{ shape: x }, { shape: w }, { shape: [w[0]!] }], attrs },
    ]),
    ...convolutions.flatMap((convolution, index) => {
      const { name, x, w, attrs } = convolution;
      const activation: Activation = index % 2 ? { fn: 'silu' } : { fn: 'relu' };
      const inputs = [{ shape: x }, { shape: w }, { shape: [w[0]!] }];
      return [
        { name: `${name}, ${activation.fn}`, inputs, attrs: { ...attrs, activation } },
        {
          name: `${name}, residual, ${activation.fn}`,
          inputs: [...inputs, { shape: resultOf(convolution) }],
          attrs: { ...attrs, activation, residual: true },
        },
      ];
    }),
  ],
  conv2dGradInput: gradients((x, w, y) => [y, w, x]),
  conv2dGradWeight: gradients((x, w, y) => [y, x, w]),
  linear: rows.flatMap(([n, features, out]) => [
    {
      name: `${n}x${features} to ${out}`,
      inputs: [{ shape: [n, features] }, { shape: [out, features] }],
      attrs: {},
    },
    {
      name: `${n}x${features} to ${out}, bias, relu`,
      inputs: [{ shape: [n, features] }, { shape: [out, features] }, { shape: [out] }],
      attrs: { activation: { fn: 'relu' } },
    },
  ]),
  matmul: [false, true].flatMap((transposeA) =>
    [false, true].map((transposeB) => ({
      name: `${transposeA ? 'a^T' : 'a'} ${transposeB ? 'b^T' : 'b'}`,
      inputs: [{ shape: transposeA ? [9, 6] : [6, 9] }, { shape: transposeB ? [17, 9] : [9, 17] }],
      attrs: { transposeA, transposeB },
    })),
  ),
} satisfies Partial<Samples>;
