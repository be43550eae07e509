import { TestGraph } from '@cnn/testing/fixtures';
import { describe, expect, test } from 'vitest';
import { emit } from '../../../../ops/define.js';
import { ops } from '../../../../ops/index.js';
import { engineFor } from '../../codegen/engine.js';
import { prefetchLinesPerIteration } from './prefetch.js';

const features = { simd: true, relaxedSimd: true, memory64: true, threads: true };
const wide = engineFor(features, true);
const narrow = engineFor(features);

describe('cache lines per iteration', () => {
  const pointwise = (run: number) => ({ inner: { loops: [], run }, panel: wide.tileColumns });

  test('bring the whole next panel while the tiles of this one are computed', () => {
    // 512 lines; 64 iterations of 8 steps per tile.
    expect(prefetchLinesPerIteration(wide, pointwise(512), 9)).toBe(1);
    expect(prefetchLinesPerIteration(wide, pointwise(512), 8)).toBe(1);
    expect(prefetchLinesPerIteration(wide, pointwise(512), 7)).toBe(2);
    expect(prefetchLinesPerIteration(wide, pointwise(512), 3)).toBe(3);
    // 256 lines; 128 iterations of 4 steps.
    expect(prefetchLinesPerIteration(narrow, { ...pointwise(512), panel: narrow.tileColumns }, 3)).toBe(1);
    // Three rows of a window, each unrolled completely: 63 lines in 3 iterations.
    const window = { inner: { loops: [{ count: 3, stride: 0 }], run: 21 }, panel: 16 };
    expect(prefetchLinesPerIteration(wide, window, 30)).toBe(1);
    expect(prefetchLinesPerIteration(wide, window, 10)).toBe(3);
  });

  test('are none where there is little to compute, a panel ends within a line, or the loop is not unrolled', () => {
    expect(prefetchLinesPerIteration(wide, pointwise(512), 2)).toBe(0);
    expect(prefetchLinesPerIteration(narrow, { ...pointwise(511), panel: 8 }, 9)).toBe(0);
    expect(
      prefetchLinesPerIteration(
        engineFor({ ...features, memory64: false }),
        { ...pointwise(512), panel: 8 },
        9,
      ),
    ).toBe(0);
    expect(prefetchLinesPerIteration(wide, pointwise(5), 9)).toBe(1);
  });
});

interface Shape {
  readonly input: readonly [number, number, number, number];
  readonly out: number;
  readonly kernel: number;
  readonly dilation?: number;
}

const graphOf = ({ input, out, kernel, dilation = 1 }: Shape): TestGraph =>
  new TestGraph(input, (test) => {
    const [, channels] = input;
    const padding = (dilation * (kernel - 1)) / 2;
    return emit(
      ops.conv2d,
      [test.x, test.parameter([out, channels, kernel, kernel]), test.parameter([out])],
      {
        stride: [1, 1],
        padding: [padding, padding, padding, padding],
        dilation: [dilation, dilation],
        groups: 1,
        activation: { fn: 'relu' },
      },
    );
  });

/** Weights that stream from memory: 540 kB and more, 1.6 MB if transformed. */
const cases: Readonly<Record<string, readonly [Shape, algorithm: RegExp]>> = {
  '1x1, a narrow panel at the end': [{ input: [1, 530, 5, 5], out: 264, kernel: 1 }, /^gemm /],
  '1x1, panels that end within a line where they are narrow': [
    { input: [1, 533, 5, 5], out: 264, kernel: 1 },
    /^gemm /,
  ],
  '3x3 over a table of offsets': [{ input: [1, 130, 7, 7], out: 128, kernel: 3, dilation: 2 }, /^direct /],
  '3x3, two images of full rows': [{ input: [2, 130, 3, 12], out: 128, kernel: 3, dilation: 2 }, /^direct /],
  "Winograd's method": [{ input: [1, 160, 14, 14], out: 160, kernel: 3 }, /^winograd [24]x[24]$/],
};

describe('products that prefetch their weights', () => {
  test.each(Object.entries(cases))('%s', (_, [shape, algorithm]) =>
    graphOf(shape).expectReference(algorithm),
  );

  test('give the same bits on one, two and three threads, and NaN where there is one', async () => {
    expect.hasAssertions();
    for (const [shape] of Object.values(cases)) await graphOf(shape).expectSameBits();
  });
});
