/** Counts the shuffles of a run: one for each epoch. */
import { flatten, linear, module, pipe } from '@cnn/core';
import { expect, test, vi } from 'vitest';
import { epochOrder } from './data.js';
import { trainer } from './index.js';
import { sgd } from './optimizers.js';

vi.mock('./data.js', async (original) => {
  const actual = await original<typeof import('./data.js')>();
  return { ...actual, epochOrder: vi.fn(actual.epochOrder) };
});

test('the examples are shuffled once an epoch, not for each of its steps', async () => {
  const model = module({ fc: linear(4, 2) }, (m, x) => pipe(x, flatten, m.fc));
  const dataset = {
    size: 12,
    shape: [1, 2, 2],
    at: (index: number) => ({ pixels: new Float32Array(4).fill(index), label: index % 2 }),
  };
  await using run = trainer({ model, optimizer: sgd(), input: [2, 1, 2, 2], seed: 4 });
  for await (const _ of run.fit(dataset, { epochs: 3 }));
  expect(run.step).toBe(18);
  expect(vi.mocked(epochOrder).mock.calls).toEqual([0, 1, 2].map((epoch) => [4, epoch, 12]));
});
