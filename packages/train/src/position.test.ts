/** Tests the positions of a run. */
import { expect, test } from 'vitest';
import { afterStep, meansOf, startOf } from './position.js';

const start = startOf(7, 8, [1, 2]);

test('a run starts before its first step, with the state of the schedule', () => {
  expect(start).toMatchObject({
    seed: 7,
    batch: 8,
    memory: [1, 2],
    step: 0,
    epoch: 0,
    within: 0,
    history: [],
  });
  expect(startOf(7, 8).memory).toEqual([]);
});

test('steps add to the sums of the epoch, and leave everything else', () => {
  const first = afterStep(start, { size: 60, batch: 8, loss: 3, rate: 0.1, right: 2 });
  const second = afterStep(first, { size: 60, batch: 8, loss: 1, rate: 0.2, right: 4 });
  expect(second).toEqual({
    ...start,
    size: 60,
    step: 2,
    within: 2,
    lossSum: 4,
    right: 6,
    lastLoss: 1,
    lastRate: 0.2,
  });
  expect(meansOf(second)).toEqual({ epoch: 1, loss: 2, accuracy: 6 / 16, learningRate: 0.2 });
});
