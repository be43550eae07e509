/** Winograd weight gradients, with all algorithms and both divisions among threads, against the reference in float64. */

import { enginesToTry, noise } from '@cnn/testing/fixtures';
import { beforeAll, expect, test } from 'vitest';
import { Graph } from '../../../../../graph/graph.js';
import { emit } from '../../../../../ops/define.js';
import { ops } from '../../../../../ops/index.js';
import { type Shape, sizeOf } from '../../../../../tensor/shape.js';
import type { Tensor } from '../../../../../tensor/tensor.js';
import { referenceBackend } from '../../../../reference/reference.js';
import { wasmBackend } from '../../../wasm.js';

/** Error of F(4x4) against the root mean square of the gradient; sums of more tiles have more of it. */
const TOLERANCE = 4e-5;

interface Case {
  readonly name: string;
  /** n x channels x h x w. */
  readonly x: readonly [number, number, number, number];
  readonly out: number;
  readonly padding: number;
  readonly algorithm: string;
  readonly stride?: number;
}

const cases: readonly Case[] = [
  { name: 'own sums', x: [3, 16, 20, 16], out: 32, padding: 1, algorithm: '4x4' },
  { name: 'tiles over the edge', x: [4, 17, 15, 19], out: 30, padding: 1, algorithm: '4x4' },
  { name: 'no padding', x: [9, 24, 10, 14], out: 16, padding: 0, algorithm: '4x4' },
  { name: 'small tiles', x: [9, 16, 2, 2], out: 32, padding: 1, algorithm: '2x2' },
  { name: 'small tiles over the edge', x: [4, 48, 5, 5], out: 61, padding: 1, algorithm: '2x2' },
  { name: 'stride 2', x: [5, 61, 24, 21], out: 60, padding: 1, algorithm: '2x2 stride 2', stride: 2 },
  {
    name: 'stride 2, shared tiles',
    x: [9, 136, 18, 17],
    out: 112,
    padding: 0,
    algorithm: '2x2 stride 2',
    stride: 2,
  },
  { name: 'shared tiles', x: [8, 136, 4, 8], out: 80, padding: 1, algorithm: '4x4' },
  { name: 'shared tiles in turns', x: [3, 96, 40, 37], out: 112, padding: 1, algorithm: '4x4' },
];

/** All cases as one graph, since workers take longer to start than most of them to run: an output for each, by name. */
function graphOfAll() {
  const graph = new Graph();
  const feeds = new Map<string, Tensor>();
  for (const { name, x: input, out, padding, stride = 1 } of cases) {
    const [n, channels, h, w] = input;
    const extent = (size: number): number => Math.floor((size + 2 * padding - 3) / stride) + 1;
    const operand = (what: string, shape: Shape, seed: number) => {
      feeds.set(`${name}/${what}`, { shape, data: noise(sizeOf(shape), seed) });
      return graph.input(`${name}/${what}`, shape);
    };
    const operands = [operand('dy', [n, out, extent(h), extent(w)], 1), operand('x', input, 2)] as const;
    const attrs = {
      stride: [stride, stride],
      padding: [padding, padding, padding, padding],
      dilation: [1, 1],
      groups: 1,
      shape: [out, channels, 3, 3],
    } as const;
    graph.outputs.set(name, emit(ops.conv2dGradWeight, operands, attrs, name));
  }
  return { graph, feeds };
}

const { graph, feeds } = graphOfAll();
let expected: ReadonlyMap<string, Tensor>;
beforeAll(async () => {
  const reference = await referenceBackend({ precision: 'float64' }).compile(graph, new Map());
  expected = await reference.run(feeds);
});

test.each(enginesToTry())('%s', async (_, engine) => {
  let first: ReadonlyMap<string, Tensor> | undefined;
  for (const threads of [1, 2, 3]) {
    const program = await wasmBackend({ engine }).compile(graph, new Map(), { threads });
    const results = await program.run(feeds);
    for (const [name, { data: exact }] of expected) {
      const { data } = results.get(name)!;
      const scale = Math.sqrt(exact.reduce((sum, value) => sum + value ** 2, 0) / exact.length);
      const worst = data.reduce((most, value, i) => Math.max(most, Math.abs(value - exact[i]!)), 0);
      expect(worst / scale, `${name}, ${threads} threads`).toBeLessThan(TOLERANCE);
      first ??= results;
      const bits = (values: Float32Array): Uint32Array =>
        new Uint32Array(values.buffer, values.byteOffset, values.length);
      expect(bits(data), `${name}, ${threads} threads`).toEqual(bits(first.get(name)!.data));
    }
    if (threads === 2) {
      const { steps } = await program.profile(feeds);
      for (const { name, algorithm } of cases)
        expect(steps.find(({ path }) => path === name)?.algorithm, name).toBe(
          `winograd ${algorithm} over tiles`,
        );
    }
    await program.dispose();
  }
});
