/** Convolutions and their input gradients by every Winograd algorithm, against the reference in float64. */

import { enginesToTry, noise } from '@cnn/testing/fixtures';
import { beforeAll, describe, expect, test } from 'vitest';
import { Graph } from '../../../../../graph/graph.js';
import { emit } from '../../../../../ops/define.js';
import { ops } from '../../../../../ops/index.js';
import { type Shape, sizeOf } from '../../../../../tensor/shape.js';
import type { Tensor } from '../../../../../tensor/tensor.js';
import { referenceBackend } from '../../../../reference/reference.js';
import { wasmBackend } from '../../../wasm.js';

/** Error against the root mean square of the result. F(4x4) has the most. */
const TOLERANCE = 4e-5;

interface Case {
  readonly algorithm: string;
  /** True for the gradient of a convolution whose input is x. */
  readonly gradient: boolean;
  /** n x channels x h x w. */
  readonly x: readonly [number, number, number, number];
  readonly out: number;
  readonly stride: number;
  readonly bottom: number;
}

const cases: readonly Case[] = [
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
];
const named = cases.map((subject, index) => ({ name: `case ${index}, ${subject.algorithm}`, ...subject }));

/**
 * Cases as one graph, since workers take longer to start than most of them to run: an output for each, by name. With
 * `changing`, each weight has an update, so that it is transformed in every run.
 */
function graphOf(cases: typeof named, changing: boolean) {
  const graph = new Graph();
  const feeds = new Map<string, Tensor>();
  const weights = new Map<string, Tensor>();
  const value = (shape: Shape, seed: number) => ({ shape, data: noise(sizeOf(shape), seed) });
  for (const { name, gradient, x, out, stride, bottom } of cases) {
    const [n, channels, h, w] = x;
    const extent = (size: number): number => Math.floor((size + 1 + bottom - 3) / stride) + 1;
    const from = gradient ? [n, out, extent(h), extent(w)] : x;
    const window = [out, channels, 3, 3];
    const attrs = {
      stride: [stride, stride],
      padding: [1, 1, bottom, bottom],
      dilation: [1, 1],
      groups: 1,
    } as const;
    feeds.set(name, value(from, 1));
    weights.set(`${name}/weight`, value(window, 2));
    const weight = graph.parameter(`${name}/weight`, window, true);
    const operands = [graph.input(name, from), weight] as const;
    graph.outputs.set(
      name,
      gradient
        ? emit(ops.conv2dGradInput, operands, { ...attrs, shape: x }, name)
        : emit(ops.conv2d, operands, attrs, name),
    );
    if (changing)
      graph.updates.set(`${name}/weight`, emit(ops.linearCombination, [weight, weight], { a: 1, b: 0 }));
  }
  return { graph, feeds, weights };
}

// Apart, since convolutions of a graph with gradients take other tiles.
describe.each([
  { gradient: false, changing: false },
  { gradient: false, changing: true },
  { gradient: true, changing: false },
  { gradient: true, changing: true },
])('gradients: $gradient, weights that change: $changing', ({ gradient, changing }) => {
  const chosen = named.filter((subject) => subject.gradient === gradient);
  const { graph, feeds, weights } = graphOf(chosen, changing);
  let expected: ReadonlyMap<string, Tensor>;
  beforeAll(async () => {
    const reference = await referenceBackend().compile(graph, weights);
    expected = await reference.run(feeds);
  });

  test.each(enginesToTry())('%s', async (_, engine) => {
    for (const threads of changing ? [1, 3] : [2]) {
      const program = await wasmBackend({ engine }).compile(graph, weights, { threads });
      const results = await program.run(feeds);
      for (const [name, { data: exact }] of expected) {
        const { data } = results.get(name)!;
        const scale = Math.sqrt(exact.reduce((sum, v) => sum + v ** 2, 0) / exact.length);
        const worst = data.reduce((most, v, i) => Math.max(most, Math.abs(v - exact[i]!)), 0);
        expect(worst / scale, `${name}, ${threads} threads`).toBeLessThan(TOLERANCE);
      }
      const { steps } = await program.profile(feeds);
      for (const { name, algorithm } of chosen)
        expect(steps.filter(({ path }) => path === name).map(({ algorithm }) => algorithm)).toContain(
          algorithm,
        );
      await program.dispose();
    }
  });
});
