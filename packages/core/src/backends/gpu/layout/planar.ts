/**
 * How a tensor lies in a kernel's one to three dimensions. Values keep their row-major order; the first
 * axes are folded into the outermost dimension. Kernels compute indices in float32, so each dimension
 * stays below 2^24, and a picture may have a frame of zeros, so that convolutions need no tests.
 * WebGL2 computes four values at a time, so there pictures lie packed: four channels of a pixel together.
 */

import type { Padding } from '../../../ops/window.js';
import { type Shape, sizeOf } from '../../../tensor/shape.js';
import { type Coordinate, divide, plus } from '../kernels/expression.js';
import { PACK, packedDims, packedFrame, packedIndex, packedPlace } from './packed.js';

/** Pixels of zeros around a picture: top, left, bottom, right. */
export type Frame = Padding;

/** No frame at all. */
export const noFrame: Frame = [0, 0, 0, 0];

/** Whether two frames are as wide. */
export const sameFrame = (a: Frame, b: Frame): boolean => a.every((pixels, edge) => pixels === b[edge]);

/** Most workgroups a WebGPU dispatch promises along one dimension; gpu.js takes one per plane. */
const MOST_PLANES = 65535;

/** Whole numbers from here on are not all float32 numbers. */
export const EXACT = 2 ** 24;

/** The layout of one tensor. */
export interface Layout {
  readonly shape: Shape;
  readonly frame: Frame;
  /** Extents with the frame, axis by axis. */
  readonly extents: Shape;
  /** The axes that are folded into each kernel dimension, outermost first; for the packed see `packed.ts`. */
  readonly groups: readonly (readonly number[])[];
  /** Whether it is a picture with four channels of a pixel together. */
  readonly packed: boolean;
  /**
   * Whether the host gives the values as WebGL2's textures hold them: of each four texels the first, then of each
   * the second, and so on.
   */
  readonly layered: boolean;
  /** gpu.js's output: the extent of each dimension, innermost first. */
  readonly dims: readonly number[];
}

/** The layout of a shape. Frames are for pictures only, and so is packing. */
export function layoutOf(shape: Shape, wanted: Frame = noFrame, packs = false): Layout {
  const rank = shape.length;
  const frame = packs && rank === 4 ? packedFrame(shape, wanted) : wanted;
  const extents =
    rank === 4
      ? [shape[0]!, shape[1]!, frame[0] + shape[2]! + frame[2], frame[1] + shape[3]! + frame[3]]
      : [...shape];
  const axes = extents.map((_, axis) => axis);
  const planes = sizeOf(extents.slice(0, Math.max(0, rank - 2)));
  const groups =
    rank < 3
      ? axes.map((axis) => [axis])
      : planes <= MOST_PLANES
        ? [axes.slice(0, -2), [rank - 2], [rank - 1]]
        : [[0], axes.slice(1)];
  const dims = groups.map((group) => sizeOf(group.map((axis) => extents[axis]!))).reverse();
  const layout = {
    ...{ shape, frame, extents, groups, packed: false, layered: false },
    dims: dims.length === 0 ? [1] : dims,
  };
  return packs && rank === 4 ? { ...layout, packed: true, dims: packedDims(layout) } : layout;
}

/** How many values a layout holds, frame included. */
export const heldBy = ({ dims }: Layout): number => sizeOf(dims);

/** `[z][y][x]` for the element at the given coordinates. */
export function indexOf(layout: Layout, at: readonly Coordinate[]): string {
  const { extents, groups, frame } = layout;
  if (layout.packed) return packedIndex(layout, at);
  if (groups.length === 0) return '[0]';
  const lead = [0, 0, frame[0], frame[1]];
  return groups
    .map((group) => {
      const terms = group.filter((axis) => extents[axis]! > 1);
      const index = terms.reduce((inner, axis) => {
        const coordinate = at[axis]!;
        const [expression, offset] = typeof coordinate === 'string' ? [coordinate, 0] : coordinate;
        const term = plus(expression, offset + (extents.length === 4 ? lead[axis]! : 0));
        return inner === '' ? term : `(${inner}) * ${extents[axis]} + ${term}`;
      }, '');
      return `[${index || '0'}]`;
    })
    .join('');
}

const threads = ['this.thread.x', 'this.thread.y', 'this.thread.z'];

/** Where a thread writes. */
export interface Place {
  /** Statements that name the coordinates. */
  readonly statements: string;
  /** The coordinate along each axis, the frame taken off. */
  readonly at: readonly string[];
  /** Whether it is within the frame; undefined where there is none. */
  readonly inside: string | undefined;
}

/** The coordinates of a thread that writes a value of this layout. */
export function placeOf(layout: Layout): Place {
  if (layout.packed) return packedPlace(layout);
  const { shape, extents, groups, frame } = layout;
  const statements: string[] = [];
  const at = extents.map(() => '0');
  for (const [index, group] of groups.entries()) {
    const dimension = groups.length - 1 - index;
    let rest = threads[dimension]!;
    const axes = group.filter((axis) => extents[axis]! > 1);
    let bound = sizeOf(axes.map((axis) => extents[axis]!));
    // Outermost first: each quotient is a coordinate, what is left goes on.
    for (const [position, axis] of axes.entries()) {
      const inner = sizeOf(axes.slice(position + 1).map((other) => extents[other]!));
      if (position === axes.length - 1) statements.push(`const i${axis} = ${rest};`);
      else {
        statements.push(divide(rest, inner, bound, `i${axis}`, `r${axis}`));
        rest = `r${axis}`;
        bound = inner;
      }
      at[axis] = `i${axis}`;
    }
  }
  const tests: string[] = [];
  if (shape.length === 4)
    for (const axis of [2, 3]) {
      const [before, after] = [frame[axis - 2]!, frame[axis]!];
      if (before === 0 && after === 0) continue;
      statements.push(`const p${axis} = i${axis} - ${before};`);
      at[axis] = `p${axis}`;
      tests.push(`p${axis} >= 0 && p${axis} < ${shape[axis]}`);
    }
  return { statements: statements.join('\n'), at, inside: tests.length > 0 ? tests.join(' && ') : undefined };
}

/** Whether there is a frame. */
export const isFramed = ({ frame }: Layout): boolean => frame.some((pixels) => pixels > 0);

/** Whether values lie otherwise than the host has them. */
const isRearranged = (layout: Layout): boolean => layout.packed || isFramed(layout);

/** Calls `visit` for each pixel row of a picture: where it starts on the device and on the host, and how far apart its pixels are. */
function eachRow(
  layout: Layout,
  visit: (held: number, bare: number, width: number, step: number) => void,
): void {
  const [n, c, h, w] = layout.shape as unknown as [number, number, number, number];
  const [, , fullHeight, fullWidth] = layout.extents as unknown as [number, number, number, number];
  const [top, left] = layout.frame;
  const blocks = Math.ceil(c / PACK);
  for (let image = 0; image < n; image++)
    for (let channel = 0; channel < c; channel++) {
      const plane = layout.packed ? image * blocks + Math.floor(channel / PACK) : image * c + channel;
      const [step, first] = layout.packed ? [PACK, channel % PACK] : [1, 0];
      for (let row = 0; row < h; row++)
        visit(
          ((plane * fullHeight + top + row) * fullWidth + left) * step + first,
          ((image * c + channel) * h + row) * w,
          w,
          step,
        );
    }
}

/** Writes the values as they lie on the device, over zeros. */
export function toDevice(layout: Layout, bare: Float32Array, held: Float32Array): void {
  if (!isRearranged(layout)) {
    held.set(bare);
    return;
  }
  eachRow(layout, (to, from, width, step) => {
    for (let i = 0; i < width; i++) held[to + i * step] = bare[from + i]!;
  });
}

/** The values as the host has them. */
export function toHost(layout: Layout, held: Float32Array): Float32Array {
  if (!isRearranged(layout)) return held;
  const bare = new Float32Array(sizeOf(layout.shape));
  eachRow(layout, (from, to, width, step) => {
    for (let i = 0; i < width; i++) bare[to + i] = held[from + i * step]!;
  });
  return bare;
}
