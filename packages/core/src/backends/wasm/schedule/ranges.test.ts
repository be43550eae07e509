import { expect, test } from 'vitest';
import { indices, shareOf, splitByUnit } from './ranges.js';

test('shares of threads cover the work once, in order', () => {
  for (const total of [0, 1, 5, 12])
    for (const threads of [1, 2, 3, 7]) {
      const shares = indices([0, threads]).map((thread) => shareOf(total, thread, threads));
      expect(shares.flatMap(indices)).toEqual(indices([0, total]));
    }
});

test('a range is split at the borders between units', () => {
  expect(splitByUnit([2, 11], 4)).toEqual([
    { unit: 0, first: 2, count: 2, before: 0 },
    { unit: 1, first: 0, count: 4, before: 2 },
    { unit: 2, first: 0, count: 3, before: 6 },
  ]);
  expect(splitByUnit([5, 6], 4)).toEqual([{ unit: 1, first: 1, count: 1, before: 0 }]);
  expect(splitByUnit([4, 4], 4)).toEqual([]);
});
