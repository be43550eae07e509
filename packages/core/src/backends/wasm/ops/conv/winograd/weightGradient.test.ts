/**
 * Winograd weight gradients, with all algorithms and both divisions among threads, against the reference in
 * float64.
 */

import { enginesToTry, noise } from '@cnn/testing/fixtures';
import { expect, test } from 'vitest';
import { Graph } from '../../../../../graph/graph.js';
import { emit } from '../../../../../ops/define.js';
import { ops } from '../../../../../ops/index.js';
import { type Shape, sizeOf } from '../../../../../tensor/shape.js';
import { referenceBackend } from '../../../../reference/reference.js';
import { wasmBackend } from '../../../wasm.js';

/**
 * Maximum error of F(4x4) relative to the root mean square of the gradient; it grows with the number of
 * tiles.
 */
const TOLERANCE = 4e-5;

test.each([
  { name: 'private sums', x: [3, 16, 20, 16], out: 32, padding: 1, tiles: '4x4' },
  { name: 'tiles over the edge', x: [4, 17, 15, 19], out: 30, padding: 1, tiles: '4x4' },
  { name: 'no padding', x: [9, 24, 10, 14], out: 16, padding: 0, tiles: '4x4' },
  { name: 'small tiles', x: [9, 16, 2, 2], out: 32, padding: 1, tiles: '2x2' },
  { name: 'small tiles over the edge', x: [4, 48, 5, 5], out: 61, padding: 1, tiles: '2x2' },
  { name: 'stride 2', x: [5, 61, 24, 21], out: 60, padding: 1, tiles: '2x2 stride 2', stride: 2 },
  {
    name: 'stride 2, shared tiles',
    x: [9, 136, 18, 17],
    out: 112,
    padding: 0,
    tiles: '2x2 stride 2',
    stride: 2,
  },
  { name: 'shared tiles', x: [8, 136, 4, 8], out: 80, padding: 1, tiles: '4x4' },
  { name: 'several ranges of shared tiles', x: [3, 96, 40, 37], out: 112, padding: 1, tiles: '4x4' },
])('$name', async ({ x: input, out, padding, tiles, stride = 1 }) => {
  const [n, channels, h, w] = input as [number, number, number, number];
  const extent = (size: number): number => Math.floor((size + 2 * padding - 3) / stride) + 1;
  const output = [n, out, extent(h), extent(w)];
  const shape = [out, channels, 3, 3];
  const graph = new Graph();
  const operand = (name: string, of: Shape) => graph.input(name, of);
  graph.outputs.set(
    'dw',
    emit(ops.conv2dGradWeight, [operand('dy', output), operand('x', input)], {
      stride: [stride, stride],
      padding: [padding, padding, padding, padding],
      dilation: [1, 1],
      groups: 1,
      shape,
    }),
  );
  const feeds = new Map(
    [output, input].map((of, i) => [['dy', 'x'][i]!, { shape: of, data: noise(sizeOf(of), i + 1) }]),
  );
  const reference = await referenceBackend({ precision: 'float64' }).compile(graph, new Map());
  const expected = (await reference.run(feeds)).get('dw')!.data;
  const scale = Math.sqrt(expected.reduce((sum, value) => sum + value ** 2, 0) / expected.length);
  for (const [kind, engine] of enginesToTry()) {
    const bits: Uint32Array[] = [];
    for (const threads of [1, 2, 3]) {
      const program = await wasmBackend({ engine }).compile(graph, new Map(), { threads });
      const { data } = (await program.run(feeds)).get('dw')!;
      bits.push(new Uint32Array(data.buffer, data.byteOffset, data.length));
      const worst = data.reduce((worst, value, i) => Math.max(worst, Math.abs(value - expected[i]!)), 0);
      expect(worst / scale, `${kind}, ${threads} threads`).toBeLessThan(TOLERANCE);
      if (threads === 2) {
        const { steps } = await program.profile(feeds);
        expect(steps.map(({ algorithm }) => algorithm)).toContain(`winograd ${tiles} over tiles`);
      }
      await program.dispose();
    }
    expect(bits[1]).toEqual(bits[0]);
    expect(bits[2]).toEqual(bits[0]);
  }
});
