/** Grouped convolutions, row-wise and as matrix products, against the reference. */
import { TestGraph } from '@cnn/testing/fixtures';
import { describe, expect, test } from 'vitest';
import type { Node } from '../../../../../graph/graph.js';
import type { Activation } from '../../../../../ops/activation.js';
import { emit } from '../../../../../ops/define.js';
import { ops } from '../../../../../ops/index.js';

interface GroupedShape {
  readonly input: readonly [number, number, number, number];
  readonly out: number;
  readonly groups: number;
  readonly kernel?: number;
  readonly stride?: number;
  readonly dilation?: number;
  readonly padding?: number;
  readonly residual?: boolean;
  readonly fn?: 'relu' | 'silu';
}

const graphOf = ({ input, out, groups, residual, fn, ...window }: GroupedShape): TestGraph =>
  new TestGraph(input, (test) => {
    const { kernel = 3, stride = 1, dilation = 1, padding = 1 } = window;
    const conv = (...residuals: readonly Node[]): Node => {
      const weight = test.parameter([out, input[1] / groups, kernel, kernel]);
      return emit(ops.conv2d, [test.x, weight, test.parameter([out]), ...residuals], {
        stride: [stride, stride],
        padding: [padding, padding, padding, padding],
        dilation: [dilation, dilation],
        groups,
        activation: fn && ({ fn } as Activation),
        residual: residuals.length > 0 ? true : undefined,
      });
    };
    return residual ? conv(conv()) : conv();
  });

const cases: Readonly<Record<string, GroupedShape>> = {
  'four channels a group': { input: [1, 24, 9, 15], out: 24, groups: 6, fn: 'relu' },
  'four channels a group, stride 2, residual, two images': {
    input: [2, 16, 8, 17],
    out: 16,
    groups: 4,
    stride: 2,
    residual: true,
    fn: 'relu',
  },
  'eight channels a group': { input: [1, 32, 7, 7], out: 32, groups: 4, fn: 'silu' },
  'eight channels a group, stride 2': { input: [1, 32, 16, 30], out: 32, groups: 4, stride: 2 },
  'sixteen outputs of three inputs a group': { input: [1, 9, 20, 8], out: 48, groups: 3, residual: true },
  'many channels a group on an image smaller than the window': {
    input: [1, 64, 2, 1],
    out: 64,
    groups: 2,
    kernel: 5,
    padding: 2,
  },
  'dilation, two images, large weights': {
    input: [2, 128, 6, 5],
    out: 128,
    groups: 4,
    dilation: 2,
    padding: 2,
  },
  'no padding, 7x7': { input: [1, 16, 10, 23], out: 16, groups: 2, kernel: 7, padding: 0 },
};

/** 1x1 convolutions, which are matrix products over the channels of the groups. */
const matmuls: Readonly<Record<string, GroupedShape>> = {
  'padding channels of a group overlap the next group': { input: [2, 24, 9, 7], out: 60, groups: 3 },
  'with a residual, several groups in one product': {
    input: [1, 24, 5, 7],
    out: 60,
    groups: 3,
    residual: true,
  },
  'padding channels of the last group would overlap the next pixel': {
    input: [1, 16, 5, 7],
    out: 68,
    groups: 4,
  },
  'few pixels': { input: [1, 96, 2, 2], out: 60, groups: 3, fn: 'relu' },
};

describe('grouped 1x1 convolutions', () => {
  const pointwise = (shape: GroupedShape): TestGraph => graphOf({ ...shape, kernel: 1, padding: 0 });
  test.each(Object.entries(matmuls))('%s', (_, shape) => pointwise(shape).expectReference(/^direct grouped/));

  test('give the same bits on one, two and three threads, and propagate NaN', async () => {
    expect.hasAssertions();
    for (const shape of Object.values(matmuls)) await pointwise(shape).expectSameBits();
  });
});

describe('row-wise grouped convolutions', () => {
  test.each(Object.entries(cases))('%s', (_, shape) => graphOf(shape).expectReference(/^grouped /));

  test('give the same bits on one, two and three threads, and propagate NaN', async () => {
    expect.hasAssertions();
    for (const shape of Object.values(cases)) await graphOf(shape).expectSameBits();
  });
});
