/**
 * Planar layout: values in row-major order, NCHW for images, possibly with zero padding around each image.
 * The one to three dimensions of a kernel are the last two axes and all others folded into one.
 */
import type { Padding } from '../../../ops/window.js';
import { type Shape, sizeOf } from '../../../tensor/shape.js';
import { type Coordinate, divide, plus } from '../kernels/expression.js';
import { imagesToDevice, imagesToHost } from './imageRows.js';
import { hasPadding, type Layout, noPadding, type OutputCoordinates, paddedShapeOf } from './types.js';

/** Most workgroups along a dimension that WebGPU guarantees; gpu.js dispatches one per outermost index. */
const MAX_WORKGROUPS = 65535;

/** Axes that are folded into each dimension of a kernel, outermost dimension first. */
type FoldedAxes = readonly (readonly number[])[];

/** Lays out a shape. Padding is for images only, that is for shapes of four axes. */
export function planarLayout(shape: Shape, padding: Padding = noPadding): Layout {
  const paddedShape = paddedShapeOf(shape, padding);
  const folded = foldAxes(paddedShape);
  const dims = folded.map((axes) => sizeOf(axes.map((axis) => paddedShape[axis]!))).reverse();
  const stored = { shape, padding, paddedShape };
  const images = { ...stored, lanes: 1 };
  const isPadded = hasPadding(stored);
  return {
    ...stored,
    dims: dims.length === 0 ? [1] : dims,
    layerMajor: false,
    indexOf: (at) => planarIndex(stored, folded, at),
    outputCoordinates: () => planarCoordinates(stored, folded),
    toDevice(unpadded, staged) {
      if (isPadded) imagesToDevice(images, unpadded, staged);
      else staged.set(unpadded);
    },
    toHost: (staged) => (isPadded ? imagesToHost(images, staged) : staged),
  };
}

function foldAxes(paddedShape: Shape): FoldedAxes {
  const rank = paddedShape.length;
  const axes = paddedShape.map((_, axis) => axis);
  if (rank < 3) return axes.map((axis) => [axis]);
  const planes = sizeOf(paddedShape.slice(0, -2));
  return planes <= MAX_WORKGROUPS ? [axes.slice(0, -2), [rank - 2], [rank - 1]] : [[0], axes.slice(1)];
}

type Stored = Pick<Layout, 'shape' | 'padding' | 'paddedShape'>;

function planarIndex(
  { padding, paddedShape }: Stored,
  folded: FoldedAxes,
  at: readonly Coordinate[],
): string {
  if (folded.length === 0) return '[0]';
  const before = [0, 0, padding[0], padding[1]];
  return folded
    .map((axes) => {
      const index = axes
        .filter((axis) => paddedShape[axis]! > 1)
        .reduce((outer, axis) => {
          const coordinate = at[axis]!;
          const [expression, offset] = typeof coordinate === 'string' ? [coordinate, 0] : coordinate;
          const term = plus(expression, offset + (paddedShape.length === 4 ? before[axis]! : 0));
          return outer === '' ? term : `(${outer}) * ${paddedShape[axis]} + ${term}`;
        }, '');
      return `[${index || '0'}]`;
    })
    .join('');
}

const threadDimensions = ['this.thread.x', 'this.thread.y', 'this.thread.z'];

function planarCoordinates({ shape, padding, paddedShape }: Stored, folded: FoldedAxes): OutputCoordinates {
  const statements: string[] = [];
  const at = paddedShape.map(() => '0');
  for (const [index, group] of folded.entries()) {
    let rest = threadDimensions[folded.length - 1 - index]!;
    const axes = group.filter((axis) => paddedShape[axis]! > 1);
    let bound = sizeOf(axes.map((axis) => paddedShape[axis]!));
    // Outermost first: the quotient is the coordinate, the remainder the index within it.
    for (const [position, axis] of axes.entries()) {
      const inner = sizeOf(axes.slice(position + 1).map((other) => paddedShape[other]!));
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
      const [before, after] = [padding[axis - 2]!, padding[axis]!];
      if (before === 0 && after === 0) continue;
      statements.push(`const p${axis} = i${axis} - ${before};`);
      at[axis] = `p${axis}`;
      tests.push(`p${axis} >= 0 && p${axis} < ${shape[axis]}`);
    }
  return { statements: statements.join('\n'), at, inside: tests.length > 0 ? tests.join(' && ') : undefined };
}
