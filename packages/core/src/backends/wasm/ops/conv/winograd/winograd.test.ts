/** Convolutions and their input gradients with every Winograd algorithm, against the reference in float64. */

import { enginesToTry, noise } from '@cnn/testing/fixtures';
import { expect, test } from 'vitest';
import { Graph } from '../../../../../graph/graph.js';
import { emit } from '../../../../../ops/define.js';
import { ops } from '../../../../../ops/index.js';
import { type Shape, sizeOf } from '../../../../../tensor/shape.js';
import { referenceBackend } from '../../../../reference/reference.js';
import { wasmBackend } from '../../../wasm.js';

/** Maximum error relative to the root mean square of the result. F(4x4) has the largest. */
const TOLERANCE = 4e-5;

/**
 * x is n x channels x h x w. If `gradient` is true, the input gradient of a convolution with that input is
 * tested.
 */
test.each([
  { algorithm: 'winograd 2x2', gradient: false, x: [1, 40, 6, 7], out: 30, stride: 1, bottom: 1 },
  { algorithm: 'winograd 4x4', gradient: false, x: [4, 60, 27, 30], out: 56, stride: 1, bottom: 1 },
  { algorithm: 'winograd 2x2', gradient: true, x: [4, 60, 27, 30], out: 56, stride: 1, bottom: 1 },
  { algorithm: 'winograd 2x2 stride 2', gradient: false, x: [3, 64, 24, 20], out: 60, stride: 2, bottom: 1 },
  { algorithm: 'winograd 2x2 stride 2', gradient: false, x: [9, 61, 22, 26], out: 59, stride: 2, bottom: 0 },
  {
    algorithm: 'winograd 4x4 transposed stride 2',
    gradient: true,
    x: [3, 64, 24, 20],
    out: 60,
    stride: 2,
    bottom: 1,
  },
  {
    algorithm: 'winograd 4x4 transposed stride 2',
    gradient: true,
    x: [9, 61, 22, 26],
    out: 59,
    stride: 2,
    bottom: 0,
  },
])('$algorithm, gradient: $gradient, $x to $out', async ({ algorithm, gradient, x, out, stride, bottom }) => {
  const [n, channels, h, w] = x as [number, number, number, number];
  const extent = (size: number): number => Math.floor((size + 1 + bottom - 3) / stride) + 1;
  const y = [n, out, extent(h), extent(w)];
  const window = [out, channels, 3, 3];
  const attrs = {
    stride: [stride, stride],
    padding: [1, 1, bottom, bottom],
    dilation: [1, 1],
    groups: 1,
  } as const;
  const value = (shape: Shape, seed: number) => ({ shape, data: noise(sizeOf(shape), seed) });
  const from = gradient ? y : x;
  const feeds = new Map([['x', value(from, 1)]]);
  const weights = new Map([['weight', value(window, 2)]]);
  for (const changing of [false, true]) {
    const graph = new Graph();
    const operands = [graph.input('x', from), graph.parameter('weight', window, true)] as const;
    graph.outputs.set(
      'y',
      gradient
        ? emit(ops.conv2dGradInput, operands, { ...attrs, shape: x })
        : emit(ops.conv2d, operands, attrs),
    );
    if (changing)
      graph.updates.set('weight', emit(ops.linearCombination, [operands[1], operands[1]], { a: 1, b: 0 }));
    const reference = await referenceBackend().compile(graph, weights);
    const expected = (await reference.run(feeds)).get('y')!.data;
    const scale = Math.sqrt(expected.reduce((sum, v) => sum + v ** 2, 0) / expected.length);
    for (const [kind, engine] of enginesToTry())
      for (const threads of changing ? [1, 3] : [2]) {
        const program = await wasmBackend({ engine }).compile(graph, weights, { threads });
        const { data } = (await program.run(feeds)).get('y')!;
        const worst = data.reduce((worst, v, i) => Math.max(worst, Math.abs(v - expected[i]!)), 0);
        expect(worst / scale, `${kind}, ${threads} threads`).toBeLessThan(TOLERANCE);
        const { steps } = await program.profile(feeds);
        expect(steps.map((step) => step.algorithm)).toContain(algorithm);
        await program.dispose();
      }
  }
});
