/**
 * Transforms and packs weights of a Winograd convolution that change, as in training: a phase of every run.
 */
import { FLOAT, paddedChannels } from '../../../codegen/kernel.js';
import { splitByUnit } from '../../../schedule/ranges.js';
import { winogradWeights } from './changingWeightsKernel.js';
import { elementCount } from './transforms.js';
import { elementStrideOf, type TransformWeights, transformConstantWeights } from './weights.js';

/** Transforms weights that may change. */
export const transformWeights: TransformWeights = (p, convolution, method, panel) => {
  const { weight, order, channels, out } = convolution;
  if (p.constantValue(weight)) return transformConstantWeights(p, convolution, method, panel);
  const elementStride = elementStrideOf(convolution);
  const source = p.value(weight).at;
  const padded = paddedChannels(out);
  const target = p.workspace(elementCount(method) * elementStride);
  // A rotated window is read from its last tap backwards; the kernel gets the address of its first tap in
  // memory.
  const rotated = order.column < 0;
  const start = order.start + (rotated ? 2 * (order.row + order.column) : 0);
  p.parallelFor('pack', Math.ceil(padded / panel) * channels, (from, to) =>
    splitByUnit([from, to], channels).map(({ unit, first: channel, count }) => {
      const column = unit * panel;
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
      return transform({
        from: source.plus((start + column * order.out + channel * order.in) * FLOAT),
        to: target.plus((column * channels + channel * width) * FLOAT),
        channels: count,
      });
    }),
  );
  return { at: target, elementStride };
};
