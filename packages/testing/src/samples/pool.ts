/** Samples of pooling over windows, adaptive and global pooling. */
import type { Shape } from '@cnn/core';
import { formatShape, ops, pair, symmetric } from '@cnn/core/graph';
import type { Samples } from './sample.js';

const maxCases = (
  [
    [[2, 3, 8, 6], 2, 2, 0, 1, false],
    [[2, 1, 5, 5], 2, 2, 0, 1, true],
    [[1, 19, 9, 10], 3, 2, 1, 1, false],
    [[1, 16, 13, 13], 3, 2, 0, 1, true],
    [[1, 5, 7, 7], 3, 1, 1, 1, false],
    [[1, 3, 9, 9], 2, 1, 0, 2, false],
  ] as const
).map(([shape, kernel, stride, padding, dilation, ceilMode]) => ({
  name: `${formatShape(shape)} window ${kernel} stride ${stride} padding ${padding} dilation ${dilation}${ceilMode ? ' ceil' : ''}`,
  shape,
  attrs: {
    kernel: pair(kernel),
    stride: pair(stride),
    padding: symmetric(padding),
    dilation: pair(dilation),
    ceilMode,
  },
}));

const avgCases = (
  [
    [[2, 3, 8, 6], 2, 2, 0, false, true],
    [[2, 1, 5, 5], 2, 2, 0, true, true],
    [[1, 19, 9, 10], 3, 2, 1, false, true],
    [[1, 19, 9, 10], 3, 2, 1, false, false],
    [[1, 16, 13, 12], 3, 2, 1, true, true],
    [[2, 5, 7, 7], 7, 7, 0, false, true],
  ] as const
).map(([shape, kernel, stride, padding, ceilMode, countIncludePad]) => ({
  name: `${formatShape(shape)} window ${kernel} stride ${stride} padding ${padding}${ceilMode ? ' ceil' : ''}${countIncludePad ? '' : ' without padding'}`,
  shape,
  attrs: {
    kernel: pair(kernel),
    stride: pair(stride),
    padding: symmetric(padding),
    dilation: pair(1),
    ceilMode,
    countIncludePad,
  },
}));

const adaptiveCases = (
  [
    [
      [2, 3, 7, 5],
      [1, 1],
    ],
    [
      [1, 19, 7, 7],
      [6, 6],
    ],
    [
      [1, 16, 4, 5],
      [7, 7],
    ],
    [
      [2, 5, 13, 9],
      [3, 2],
    ],
    [
      [3, 1, 1, 1],
      [1, 1],
    ],
  ] as const
).map(([shape, size]) => ({
  name: `${formatShape(shape)} to ${formatShape(size)}`,
  shape,
  attrs: { size },
}));

/** A case: shape of the input and attributes of the op. */
interface Case<A extends object> {
  readonly name: string;
  readonly shape: Shape;
  readonly attrs: A;
}

const forward = <A extends object>(cases: readonly Case<A>[]) =>
  cases.map(({ name, shape, attrs }) => ({ name, inputs: [{ shape }], attrs }));

/** Samples of the gradient op: the gradient of the result precedes the input. */
const backward = <A extends object>(
  cases: readonly Case<A>[],
  op: { shape(inputs: readonly Shape[], attrs: A): Shape },
) =>
  cases.map(({ name, shape, attrs }) => ({
    name,
    inputs: [{ shape: op.shape([shape], attrs) }, { shape }],
    attrs,
  }));

const globalCases = adaptiveCases.map(({ shape }) => ({ name: formatShape(shape), shape, attrs: {} }));

export const poolSamples = {
  maxPool: forward(maxCases),
  maxPoolGrad: backward(maxCases, ops.maxPool),
  avgPool: forward(avgCases),
  avgPoolGrad: backward(avgCases, ops.avgPool),
  adaptiveAvgPool: forward(adaptiveCases),
  adaptiveAvgPoolGrad: backward(adaptiveCases, ops.adaptiveAvgPool),
  adaptiveMaxPool: forward(adaptiveCases),
  adaptiveMaxPoolGrad: backward(adaptiveCases, ops.adaptiveMaxPool),
  globalAvgPool: forward(globalCases),
  globalAvgPoolGrad: backward(globalCases, ops.globalAvgPool),
} satisfies Partial<Samples>;
