/**
 * Pictures with four channels of a pixel together, as WebGL2 wants them: n, c / 4, h, w, and then four channels.
 * Rows are whole quads of pixels, since a fragment computes four of them.
 */
import type { Padding } from '../../ops/window.js';
import type { Shape } from '../../tensor/shape.js';
import { type Coordinate, divide, plus } from './expression.js';

/** Values that WebGL2 computes at a time. */
export const PACK = 4;

/** Blocks of channels. */
export const blocksOf = (channels: number): number => Math.ceil(channels / PACK);

/** What the packed layout needs to know of a picture: its shape, the frame of zeros, and the extents with the frame. */
interface Framed {
  readonly shape: Shape;
  readonly frame: Padding;
  readonly extents: Shape;
}

/** The frame with which rows are whole quads of pixels. */
export function packedFrame(shape: Shape, [top, left, bottom, right]: Padding): Padding {
  const width = left + shape[3]! + right;
  return [top, left, bottom, right + Math.ceil(width / PACK) * PACK - width];
}

/** The kernel dimensions: the channel in its block, the column, and everything else. */
export const packedDims = ({ extents: [n, c, h, w] }: Pick<Framed, 'extents'>): readonly number[] => [
  PACK,
  w!,
  n! * blocksOf(c!) * h!,
];

const expressionOf = (coordinate: Coordinate, shift: number): string =>
  typeof coordinate === 'string' ? plus(coordinate, shift) : plus(coordinate[0], coordinate[1] + shift);

/** `[z][y][x]` for the element at the given coordinates. */
export function packedIndex({ extents, frame }: Framed, at: readonly Coordinate[]): string {
  const [n, c, h] = extents as unknown as readonly [number, number, number];
  const channel = expressionOf(at[1]!, 0);
  const known = Number(channel);
  const [block, lane] = Number.isInteger(known)
    ? [String(Math.floor(known / PACK)), String(known % PACK)]
    : c <= PACK
      ? ['0', channel]
      : [
          `Math.floor((${channel} + 0.5) / ${PACK})`,
          `(${channel} - ${PACK} * Math.floor((${channel} + 0.5) / ${PACK}))`,
        ];
  const image = n === 1 ? '' : `(${expressionOf(at[0]!, 0)}) * ${blocksOf(c)} + `;
  return `[(${image}${block}) * ${h} + ${expressionOf(at[2]!, frame[0])}][${expressionOf(at[3]!, frame[1])}][${lane}]`;
}

/** The coordinates of a thread that writes a value of this layout. */
export function packedPlace({ shape, extents, frame }: Framed) {
  const [n, c, h] = extents as unknown as readonly [number, number, number];
  const blocks = blocksOf(c);
  const tests: string[] = [];
  if (c % PACK !== 0) tests.push(`i1 < ${c}`);
  const along = (axis: 2 | 3): string => {
    const [before, after] = [frame[axis - 2]!, frame[axis]!];
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
