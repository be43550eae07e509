/** Random masks of dropout and stochastic depth. */
import type { Node } from '../../../../graph/graph.js';
import type { RandomMaskAttrs } from '../../../../ops/dropout.js';
import { CHANNEL_BLOCK, FLOAT } from '../../codegen/kernel.js';
import { pixelRuns, rowAt, storedFloats } from '../../memory/layout.js';
import { channelGroups, type Lowering, parallelForPixels, pixelsOf } from '../lowering.js';
import { randomMaskKernel } from './randomMaskKernel.js';

export const lowerRandomMask: Lowering<RandomMaskAttrs> = (p, node) => {
  const { keep, stream } = node.attrs;
  const value = p.value(node);
  const seed = p.value(node.inputs[0] as Node).at;
  const kernelFor = (channelStep: number, pixelStep: number, pixel: number) =>
    p.kernel(randomMaskKernel, { keep, stream, channelStep, pixelStep, pixel });
  if (value.kind === 'dense') {
    const call = kernelFor(1, 0, 0);
    p.parallelFor('random mask', storedFloats(node.shape) / CHANNEL_BLOCK, (from, to) => [
      call({
        seed,
        y: value.at.plus(from * CHANNEL_BLOCK * FLOAT),
        index: from * CHANNEL_BLOCK,
        pixels: 1,
        groups: to - from,
      }),
    ]);
    return;
  }
  const y = pixelsOf(p, node);
  const plane = y.h * y.w;
  const runs = pixelRuns(y);
  // Element indices are evenly spaced only within an image, so every call stays within one.
  const images = { ...runs, count: y.n, pixels: plane };
  const contiguousRows = y.rowStride === y.w * y.pixelStride;
  const call = kernelFor(plane, 1, y.pixelStride);
  const groups = channelGroups(y.c);
  if (contiguousRows)
    parallelForPixels(p, 'random mask', images, (image, first, pixels) =>
      call({
        seed,
        y: y.at.plus(image * y.imageStride + first * y.pixelStride),
        index: image * y.c * plane + first,
        pixels,
        groups,
      }),
    );
  else
    parallelForPixels(
      p,
      'random mask',
      { ...runs, count: y.n * y.h, pixels: y.w },
      (index, first, pixels) => {
        const [image, row] = [Math.floor(index / y.h), index % y.h];
        return call({
          seed,
          y: rowAt(y, image, row).plus(first * y.pixelStride),
          index: image * y.c * plane + row * y.w + first,
          pixels,
          groups,
        });
      },
    );
};
