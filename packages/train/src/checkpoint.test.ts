/** Tests the content of checkpoints, and which runs may continue from one. */
import { FileFormatError, tensor, writeSafetensors } from '@cnn/core';
import { readSafetensors } from '@cnn/core/io';
import { expect, test } from 'vitest';
import { readCheckpoint, requireSameRecipe, writeCheckpoint } from './checkpoint.js';
import { adam, type Optimizer, sgd } from './optimizers.js';
import { startOf } from './position.js';
import { constantRate, cosine, reduceOnPlateau, type Schedule, warmUp } from './schedules.js';

const written = {
  position: { ...startOf(7, 2, [1]), step: 3, within: 1, size: 4, lossSum: Number.NaN, lastLoss: -Infinity },
  optimizer: 'sgd',
  schedule: 'cosine',
  state: new Map([['fc.weight', tensor([1, 2], [2])]]),
};

test('a checkpoint is read as it was written, numbers that JSON cannot hold included', () => {
  expect(readCheckpoint(writeCheckpoint(written))).toEqual(written);
});

test.each(['optimizer', 'schedule'])('a checkpoint without the name of its %s is refused', (key) => {
  const { weights, metadata } = readSafetensors(writeCheckpoint(written));
  const { [key]: _, ...rest } = metadata;
  const read = () => readCheckpoint(writeSafetensors(weights, rest));
  expect(read).toThrow(FileFormatError);
  expect(read).toThrow(`its metadata has no '${key}'`);
});

/** Checks that a run with these may continue what another one with those wrote. */
const check = (
  optimizer: Optimizer,
  schedule: Schedule,
  writer: { readonly optimizer?: string; readonly schedule: string; readonly memory?: readonly number[] },
) =>
  requireSameRecipe(
    { ...written, ...writer, position: startOf(1, 2, writer.memory) },
    { optimizer, schedule },
  );

test('a run continues with the same optimizer and schedule', () => {
  check(sgd(), cosine(), { schedule: 'cosine' });
  check(sgd({ momentum: 0.9 }), cosine({ end: 0.1 }), { schedule: 'cosine' });
  check(sgd(), warmUp({ steps: 2, after: reduceOnPlateau() }), {
    schedule: 'warmUp(reduceOnPlateau)',
    memory: [1, 0, 0, -1],
  });
  check(sgd(), { factor: () => 1 }, { schedule: 'custom' });
});

test.each<[string, Optimizer, Schedule, string]>([
  ['another optimizer', adam(), cosine(), 'the optimizer sgd, but this trainer has adam; use the same'],
  [
    'another schedule',
    sgd(),
    reduceOnPlateau(),
    'the schedule cosine, but this trainer has reduceOnPlateau; use the same',
  ],
  [
    'another schedule of as many numbers',
    sgd(),
    constantRate(),
    'the schedule cosine, but this trainer has constantRate',
  ],
  [
    'another warm-up',
    sgd(),
    warmUp({ steps: 2, after: cosine() }),
    'the schedule cosine, but this trainer has warmUp(cosine)',
  ],
])('a run with %s is refused', (_, optimizer, schedule, message) => {
  expect(() => check(optimizer, schedule, { schedule: 'cosine' })).toThrow(message);
});

test('schedules of the same name are told apart by their states', () => {
  const schedule = { factor: () => 1, memory: [0, 0] };
  expect(() => check(sgd(), schedule, { schedule: 'custom', memory: [0] })).toThrow(
    'holds 1 numbers of the state of the schedule custom, but the schedule of this trainer has 2',
  );
});
