/** Probabilities and rankings of one row of logits. */
import { expect, test } from 'vitest';
import { probabilities, topK } from './scores.js';

test('probabilities add up to 1, and large logits do not overflow', () => {
  expect([...probabilities([0, Math.log(3)])]).toEqual([0.25, 0.75]);
  expect([...probabilities([1e4, -1e4, 1e4])]).toEqual([0.5, 0, 0.5]);
  expect([...probabilities([1, Number.NaN])]).toEqual([Number.NaN, Number.NaN]);
});

test('the largest values come first, of equal ones the earlier, and NaN last', () => {
  expect(topK([0.1, 0.7, Number.NaN, 0.2, 0.7], 3)).toEqual([
    { index: 1, value: 0.7 },
    { index: 4, value: 0.7 },
    { index: 3, value: 0.2 },
  ]);
  expect(topK([2, Number.NaN, -1], 5).map(({ index }) => index)).toEqual([0, 2, 1]);
  expect(topK([-Infinity, Number.NaN, 0], 5).map(({ index }) => index)).toEqual([2, 0, 1]);
});
