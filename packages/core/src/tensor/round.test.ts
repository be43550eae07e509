/** Rounding as in Python, and the crops that torchvision places by it. */
import { expect, test } from 'vitest';
import { centredStart, roundHalfEven } from './round.js';

test('halves are rounded to the even neighbour', () => {
  expect([0.5, 1.5, 2.5, -0.5, -1.5, 0.4, 0.6].map(roundHalfEven)).toEqual([0, 2, 2, 0, -2, 0, 1]);
});

test('a crop starts in the middle, half pixels rounded to even; padding goes to the far side', () => {
  expect(
    [
      [7, 2],
      [5, 2],
      [4, 4],
      [2, 5],
      [2, 4],
    ].map(([from, to]) => centredStart(from!, to!)),
  ).toEqual([2, 2, 0, -1, -1]);
});
