/**
 * Transforms and packs weights of a Winograd convolution that change, as in training: a phase of every run.
 */
import { FLOAT, paddedChannels } from '../../../codegen/kernel.js';
import type { Call, TransformChangingWeights } from '../../../schedule/planner.js';
import { winogradWeights } from './changingWeightsKernel.js';
import { elementCount } from './transforms.js';

export const transformChangingWeights: TransformChangingWeights = (
  p,
  { weight, order, channels, out },
  method,
  panel,
  elementStride,
) => {
  const from = p.value(weight).at;
  const padded = paddedChannels(out);
  const target = p.workspace(elementCount(method) * elementStride);
  // A rotated window is read from its last tap backwards; the kernel gets the address of its first tap in
  // memory.
  const rotated = order.column < 0;
  const start = order.start + (rotated ? 2 * (order.row + order.column) : 0);
  p.setAlgorithm('pack');
  p.parallelFor(Math.ceil(padded / panel) * channels, (first, last) => {
    const calls: Call[] = [];
    for (let item = first; item < last; ) {
      const column = Math.floor(item / channels) * panel;
      const channel = item % channels;
      const count = Math.min(last - item, channels - channel);
      const width = Math.min(panel, padded - column);
      const transform = p.kernel(winogradWeights, {
        method,
        elementStride,
        rotated,
        width,
        columns: Math.min(width, out - column),
        columnStride: order.out * FLOAT,
        channelStride: order.in * FLOAT,
      });
      calls.push(
        transform({
          from: from.plus((start + column * order.out + channel * order.in) * FLOAT),
          to: target.plus((column * channels + channel * width) * FLOAT),
          channels: count,
        }),
      );
      item += count;
    }
    return calls;
  });
  return target;
};
