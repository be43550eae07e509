/** Tests the orders of epochs. */
import { expect, test } from 'vitest';
import { epochOrder } from './data.js';
import { epochOrders } from './epochOrders.js';

test('each epoch has its own order, which is shuffled once', () => {
  const orderAt = epochOrders(50);
  const first = orderAt({ seed: 4, epoch: 0 });
  expect(first).toEqual(epochOrder(4, 0, 50));
  expect(orderAt({ seed: 4, epoch: 0 })).toBe(first);
  const second = orderAt({ seed: 4, epoch: 1 });
  expect(second).toEqual(epochOrder(4, 1, 50));
  expect(second).not.toEqual(first);
});
