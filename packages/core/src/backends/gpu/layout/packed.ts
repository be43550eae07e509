/**
 * Packed layout of images for WebGL2, which computes four values at a time: n, c / 4, h, w, and then four
 * channels of a pixel. Rows are padded to a multiple of four pixels, since a fragment computes four of them.
 */
import { pictureShape } from '../../../ops/define.js';
import type { Padding } from '../../../ops/window.js';
import type { Shape } from '../../../tensor/shape.js';
import { type Coordinate, divide, plus } from '../kernels/expression.js';
import { imagesToDevice, imagesToHost } from './imageRows.js';
import { type Layout, noPadding, type OutputCoordinates, paddedShapeOf } from './types.js';

/** Values that WebGL2 computes at a time: the channels of a texel. */
export const PACK = 4;

/** Number of blocks of four channels. */
export const channelBlocks = (channels: number): number => Math.ceil(channels / PACK);

/** Lays out a batch of images. */
export function packedLayout(shape: Shape, requested: Padding = noPadding): Layout {
  const padding = roundRowsUp(shape, requested);
  const paddedShape = paddedShapeOf(shape, padding);
  const [n, c, h, w] = pictureShape('the packed layout', paddedShape);
  const stored = { shape, padding, paddedShape };
  const images = { ...stored, lanes: PACK };
  return {
    ...stored,
    // The channel within its block, the column, and everything else.
    dims: [PACK, w, n * channelBlocks(c) * h],
    layerMajor: false,
    indexOf: (at) => packedIndex(stored, at),
    outputCoordinates: () => packedCoordinates(stored),
    toDevice: (unpadded, staged) => imagesToDevice(images, unpadded, staged),
    toHost: (staged) => imagesToHost(images, staged),
  };
}

/** Widens the padding on the right until rows are a multiple of four pixels. */
function roundRowsUp(shape: Shape, [top, left, bottom, right]: Padding): Padding {
  const width = left + shape[3]! + right;
  return [top, left, bottom, right + Math.ceil(width / PACK) * PACK - width];
}

const shifted = (coordinate: Coordinate, by: number): string =>
  typeof coordinate === 'string' ? plus(coordinate, by) : plus(coordinate[0], coordinate[1] + by);

type Stored = Pick<Layout, 'shape' | 'padding' | 'paddedShape'>;

function packedIndex({ padding, paddedShape }: Stored, at: readonly Coordinate[]): string {
  const [n, c, h] = pictureShape('the packed layout', paddedShape);
  const channel = shifted(at[1]!, 0);
  const known = Number(channel);
  const [block, lane] = Number.isInteger(known)
    ? [String(Math.floor(known / PACK)), String(known % PACK)]
    : c <= PACK
      ? ['0', channel]
      : [
          `Math.floor((${channel} + 0.5) / ${PACK})`,
          `(${channel} - ${PACK} * Math.floor((${channel} + 0.5) / ${PACK}))`,
        ];
  const image = n === 1 ? '' : `(${shifted(at[0]!, 0)}) * ${channelBlocks(c)} + `;
  return `[(${image}${block}) * ${h} + ${shifted(at[2]!, padding[0])}][${shifted(at[3]!, padding[1])}][${lane}]`;
}

function packedCoordinates({ shape, padding, paddedShape }: Stored): OutputCoordinates {
  const [n, c, h] = pictureShape('the packed layout', paddedShape);
  const blocks = channelBlocks(c);
  const tests: string[] = [];
  if (c % PACK !== 0) tests.push(`i1 < ${c}`);
  const along = (axis: 2 | 3): string => {
    const [before, after] = [padding[axis - 2]!, padding[axis]!];
    if (before === 0 && after === 0) return `i${axis}`;
    tests.push(`p${axis} >= 0 && p${axis} < ${shape[axis]}`);
    return `(i${axis} - ${before})`;
  };
  const [row, column] = [along(2), along(3)];
  const statements = [
    divide('this.thread.z', blocks * h, n * blocks * h, 'i0', 'r0'),
    divide('r0', h, blocks * h, 'block', 'i2'),
    `const i1 = block * ${PACK} + this.thread.x;`,
    'const i3 = this.thread.y;',
    `const p2 = ${row};`,
    `const p3 = ${column};`,
  ];
  return {
    statements: statements.join('\n'),
    at: ['i0', 'i1', 'p2', 'p3'],
    inside: tests.length > 0 ? tests.join(' && ') : undefined,
  };
}
