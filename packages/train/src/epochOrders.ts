/** Remembers the order of the current epoch: shuffling for every step makes an epoch cost the square of its size. */
import { epochOrder } from './data.js';
import type { Position } from './position.js';

/**
 * Makes a function that gives the order of the examples in the epoch at a position of one run.
 * @param size - examples of the dataset.
 */
export function epochOrders(size: number): (position: Pick<Position, 'seed' | 'epoch'>) => Uint32Array {
  let last: { readonly epoch: number; readonly order: Uint32Array } | undefined;
  return ({ seed, epoch }) => {
    if (last?.epoch !== epoch) last = { epoch, order: epochOrder(seed, epoch, size) };
    return last.order;
  };
}
