import { TestGraph } from '@cnn/testing/fixtures';
import { describe, expect, test } from 'vitest';
import type { Activation } from '../../../../ops/activation.js';
import { emit } from '../../../../ops/define.js';
import { ops } from '../../../../ops/index.js';

interface Shape {
  readonly input: readonly [number, number, number, number];
  readonly out: number;
  readonly fn?: 'relu' | 'tanh';
}

const graphOf = ({ input, out, fn }: Shape): TestGraph =>
  new TestGraph(input, (test) => {
    const channels = input[1];
    const statistics = [test.parameter([channels]), test.parameter([channels]), test.parameter([channels])];
    const norm = emit(ops.batchNorm, [test.x, ...statistics, test.parameter([channels], 0.5, 2)], {
      eps: 1e-5,
      momentum: 0.1,
      activation: fn && ({ fn } as Activation),
    });
    return emit(ops.conv2d, [norm, test.parameter([out, channels, 1, 1]), test.parameter([out])], {
      stride: [1, 1],
      padding: [0, 0, 0, 0],
      dilation: [1, 1],
      groups: 1,
      activation: { fn: 'relu' },
    });
  });

const cases: Readonly<Record<string, Shape>> = {
  'by pixels, in several blocks': { input: [1, 64, 30, 29], out: 24, fn: 'relu' },
  'channels that fill no block of eight, two images': { input: [2, 19, 9, 7], out: 13, fn: 'tanh' },
  'by panels, large weights': { input: [1, 200, 5, 5], out: 400, fn: 'relu' },
  'one pixel': { input: [1, 24, 1, 1], out: 16 },
};

describe('1x1 convolutions after a batch normalisation', () => {
  test.each(Object.entries(cases))('%s', (_, shape) => graphOf(shape).expectReference(/^norm, gemm /));

  test('give the same bits on one, two and three threads, and NaN where there is one', async () => {
    expect.hasAssertions();
    for (const shape of Object.values(cases)) await graphOf(shape).expectSameBits();
  });
});
