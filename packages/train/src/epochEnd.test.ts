/** Tests the end of an epoch. */
import { expect, test } from 'vitest';
import { endEpoch } from './epochEnd.js';
import { afterStep, type Position, startOf } from './position.js';
import { constantRate, reduceOnPlateau, type Schedule } from './schedules.js';

/** Position after an epoch of one step with a loss. */
const trained = (loss: number, position: Position = startOf(1, 4)): Position =>
  afterStep(position, { size: 4, batch: 4, loss, rate: 0.5, right: 1 });

/** Schedule that remembers the last loss it observes. */
const observing: Schedule = { factor: () => 1, observe: (_, loss) => [loss] };

test('the epoch is recorded, and the next one starts with empty sums', () => {
  const { position, improved, stopped } = endEpoch(trained(2), undefined, constantRate());
  expect(position).toEqual({
    ...trained(2),
    epoch: 1,
    within: 0,
    lossSum: 0,
    right: 0,
    history: [{ epoch: 1, loss: 2, accuracy: 0.25, learningRate: 0.5, validation: undefined }],
  });
  expect([improved, stopped]).toEqual([false, false]);
});

test('the record of a validated epoch has its loss and accuracy only', () => {
  const evaluation = { loss: 1, accuracy: 0.5, count: 4, imagesPerSecond: 9 };
  const { position } = endEpoch(trained(2), evaluation, constantRate());
  expect(position.history[0]!.validation).toEqual({ loss: 1, accuracy: 0.5 });
});

test('schedules observe the validation loss, or the training loss without one', () => {
  expect(endEpoch(trained(2), { loss: 1, accuracy: 0 }, observing).position.memory).toEqual([1]);
  expect(endEpoch(trained(2), undefined, observing).position.memory).toEqual([2]);
});

test('the state of a schedule that observes nothing stays', () => {
  const { memory } = endEpoch(trained(2, startOf(1, 4, [5])), undefined, constantRate()).position;
  expect(memory).toEqual([5]);
  const { memory: start } = reduceOnPlateau();
  expect(endEpoch(trained(2, startOf(1, 4, start)), undefined, reduceOnPlateau()).position.memory).toEqual([
    1, 0, 2, 1,
  ]);
});

test('early stopping keeps the best value, counts the epochs since, and ends the run', () => {
  const end = (position: Position, loss: number) =>
    endEpoch(trained(1, position), { loss, accuracy: 0 }, constantRate(), { patience: 2 });
  const first = end(startOf(1, 4), 3);
  expect([first.improved, first.stopped]).toEqual([true, false]);
  const second = end(first.position, 4);
  expect([second.improved, second.stopped]).toEqual([false, false]);
  expect(second.position.best).toEqual({ monitor: 'loss', value: 3, waited: 1 });
  const third = end(second.position, 3);
  expect([third.improved, third.stopped]).toEqual([false, true]);
  // An epoch without early stopping keeps its state.
  expect(endEpoch(trained(1, second.position), undefined, constantRate()).position.best).toEqual(
    second.position.best,
  );
});
