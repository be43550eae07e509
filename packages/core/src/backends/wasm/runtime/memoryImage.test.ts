import { noise } from '@cnn/testing/fixtures';
import { expect, test } from 'vitest';
import { Graph } from '../../../graph/graph.js';
import { emit } from '../../../ops/define.js';
import { ops } from '../../../ops/index.js';
import type { LazyTensor, Tensor } from '../../../tensor/tensor.js';
import { SLICE_MS } from '../../../yield.js';
import { CONSTANTS_AT } from '../codegen/constants.js';
import { detectFeatures, engineFor } from '../codegen/engine.js';
import { CACHE_LINE } from '../codegen/kernel.js';
import { PIECE_VALUES } from '../memory/constantPool.js';
import { PlanParts } from '../schedule/context.js';
import { scheduleGraph } from '../schedule/schedule.js';
import { wasmBackend } from '../wasm.js';
import { control } from './controlWords.js';
import { layOutMemory, PAGE_BYTES } from './memoryImage.js';

test('control words lie before the constants, each in a cache line', () => {
  const addresses = Object.values(control).sort((a, b) => a - b);
  expect(addresses.every((address, index) => address === index * CACHE_LINE)).toBe(true);
  expect(addresses.length * CACHE_LINE).toBeLessThanOrEqual(CONSTANTS_AT);
});

const emptyPlan = (threads: number): PlanParts =>
  new PlanParts(scheduleGraph({ graph: new Graph() }), new Map(), engineFor(detectFeatures()), threads);

test('one thread needs no instructions for shared memory', () => {
  const modules = [1, 2].map((threads) => Buffer.from(layOutMemory(emptyPlan(threads), threads > 1).module));
  // i32.atomic.rmw.add
  expect(modules.map((module) => module.includes(Buffer.of(0xfe, 0x1e)))).toEqual([false, true]);
});

test('a constant is packed piece by piece, and the signal aborts it between pieces', async () => {
  const plan = emptyPlan(1);
  const controller = new AbortController();
  const packed: number[] = [];
  plan.constants.add(
    16,
    (_, piece) => {
      packed.push(piece);
      if (piece === 2) setImmediate(() => controller.abort(new Error('enough')));
      for (const end = performance.now() + SLICE_MS; performance.now() < end; );
    },
    9,
  );
  const image = layOutMemory(plan, false);
  await expect(image.fill(new ArrayBuffer(image.pages * PAGE_BYTES), controller.signal)).rejects.toThrow(
    'enough',
  );
  expect(packed).toEqual([0, 1, 2]);
});

test('a large weight of a file is read in pieces, and gives the same bits as one in memory', async () => {
  const [out, channels] = [520, 216];
  const graph = new Graph();
  const x = graph.input('x', [1, channels, 3, 3]);
  const shape = [out, channels * 9];
  const flat = emit(ops.reshape, [x], { shape: [1, channels * 9] });
  graph.outputs.set('y', emit(ops.linear, [flat, graph.parameter('fc', shape, true)], {}));
  const fc: Tensor = { shape, data: noise(out * channels * 9, 2) };
  const reads: number[] = [];
  const stored: LazyTensor = {
    shape,
    get data(): Float32Array {
      throw new Error('The whole weight was read.');
    },
    read(first, end) {
      reads.push(end - first);
      return fc.data.slice(first, end);
    },
  };
  const run = async (weight: Tensor) => {
    const program = await wasmBackend({ workers: false }).compile(graph, new Map([['fc', weight]]));
    const y = await program.run(new Map([['x', { shape: x.shape, data: noise(channels * 9, 3) }]]));
    await program.dispose();
    return y.get('y')!.data;
  };
  expect(await run(stored)).toEqual(await run(fc));
  expect(reads.length).toBeGreaterThan(3);
  expect(Math.max(...reads)).toBeLessThan(2 * PIECE_VALUES);
  expect(reads.reduce((sum, count) => sum + count)).toBe(fc.data.length);
});
