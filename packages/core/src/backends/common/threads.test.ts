/** Tests that options which cannot work are refused at once, before a network is planned. */
import { expect, test } from 'vitest';
import { ShapeError } from '../../errors.js';
import { Graph } from '../../graph/graph.js';
import { compile, conv2d, initialise, wasmBackend } from '../../index.js';
import { add } from '../../ops/arithmetic.js';
import { coreCount } from '../../platform.js';
import { compileOn } from '../select.js';

const model = conv2d(3, 64, 7, { stride: 2, padding: 3 });
const weights = initialise(model, { seed: 1 });
const compileWith = (options: object) =>
  compile(model, { weights, input: [1, 3, 32, 32], backend: 'wasm', ...options } as Parameters<
    typeof compile
  >[1]);

const most = Math.max(16, 4 * coreCount());

test.each([Number.NaN, 'x', '2', 0, -1, 2.5, Number.POSITIVE_INFINITY, null, most + 1])(
  'threads: %s is refused, by every back end',
  async (threads) => {
    for (const backend of ['wasm', 'reference', 'auto', wasmBackend()]) {
      const refused = compileWith({ threads, backend });
      await expect(refused).rejects.toThrow(ShapeError);
      await expect(refused).rejects.toThrow(`; give a whole number from 1 to ${most}.`);
    }
  },
);

test('threads up to the bound are started', async () => {
  await using session = await compileWith({ threads: 16 });
  expect(session.threads).toBe(16);
});

test.each([
  [
    [1, 3, 1e6, 1e6],
    'the input of 1x3x1000000x1000000 has 3,000,000,000,000 values, more than 1,073,741,824 (4 GiB)',
  ],
  [[1e6, 3, 224, 224], 'make the picture or the batch smaller'],
  [[1, 3, 16_000, 16_000], 'the conv2d of 1x64x8000x8000 has 4,096,000,000 values, more than'],
  [[1, 3, 8001, 8000], 'the plan needs at least 4640 MiB, but a WebAssembly memory has at most 4096 MiB'],
])('an input of %s is refused at once', async (input, reason) => {
  const started = performance.now();
  const refused = compileWith({ input });
  await expect(refused).rejects.toThrow(ShapeError);
  await expect(refused).rejects.toThrow(reason);
  expect(performance.now() - started).toBeLessThan(5000);
});

test('a scalar between other values has a size too', async () => {
  const graph = new Graph();
  const one = graph.input('x', []);
  graph.outputs.set('y', add(one, add(one, one)));
  const { program } = await compileOn('reference', graph, new Map(), {});
  const { data } = (await program.run(new Map([['x', { shape: [], data: Float32Array.of(2) }]]))).get('y')!;
  expect([...data]).toEqual([6]);
  await program.dispose();
});
