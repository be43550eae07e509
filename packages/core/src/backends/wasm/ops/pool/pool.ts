/**
 * Pooling: the row kernel for sliding windows of up to seven rows, the area kernel for larger, adaptive and global
 * ones.
 */
import type { Node } from '../../../../graph/graph.js';
import { type AdaptivePoolAttrs, adaptiveRange } from '../../../../ops/adaptivePool.js';
import type { AvgPoolAttrs, MaxPoolAttrs } from '../../../../ops/pool.js';
import { CHANNEL_BLOCK, FLOAT } from '../../codegen/kernel.js';
import { MAX_WINDOW_ROWS } from '../../codegen/windowRow.js';
import { type Pixels, rowAt } from '../../memory/layout.js';
import type { LoweringContext } from '../../schedule/context.js';
import type { Call } from '../../schedule/kernelCache.js';
import type { Range } from '../../schedule/ranges.js';
import { insideWindow, windowRow } from '../data/padding.js';
import { channelGroups, type Lowering, parallelForItems, parallelForRows, pixelsOf } from '../lowering.js';
import { poolArea, poolRow, type Reduction } from './poolKernel.js';

export const lowerMaxPool: Lowering<MaxPoolAttrs> = (p, node) => lowerSliding(p, node, node.attrs, 'max');

export const lowerAvgPool: Lowering<AvgPoolAttrs> = (p, node) => lowerSliding(p, node, node.attrs, 'mean');

export const lowerAdaptiveAvgPool: Lowering<AdaptivePoolAttrs> = (p, node) => lowerAdaptive(p, node, 'mean');

export const lowerAdaptiveMaxPool: Lowering<AdaptivePoolAttrs> = (p, node) => lowerAdaptive(p, node, 'max');

export const lowerGlobalAvgPool: Lowering<object> = (p, node) => lowerAdaptive(p, node, 'mean');

/**
 * The divisor of a mean along one axis: the taps inside the image, or inside its padding with `countIncludePad`.
 */
export function poolDivisor(
  attrs: MaxPoolAttrs | AvgPoolAttrs,
  axis: 0 | 1,
  extent: number,
  index: number,
): number {
  const { kernel, stride, padding, dilation } = attrs;
  const start = index * stride[axis] - padding[axis]!;
  if ('countIncludePad' in attrs && attrs.countIncludePad)
    return Math.min(start + kernel[axis], extent + padding[axis + 2]!) - start;
  const [first, end] = insideWindow(start, kernel[axis], dilation[axis], extent);
  return end - first;
}

function lowerSliding(
  p: LoweringContext,
  node: Node,
  attrs: MaxPoolAttrs | AvgPoolAttrs,
  reduction: Reduction,
): void {
  const [x, y] = [pixelsOf(p, node.inputs[0]!), pixelsOf(p, node)];
  const { kernel, stride, padding, dilation } = attrs;
  const divisor = (axis: 0 | 1, index: number): number =>
    poolDivisor(attrs, axis, axis === 0 ? x.h : x.w, index);
  const groups = channelGroups(x.c);
  if (kernel[0] > MAX_WINDOW_ROWS) {
    areasPhase(p, x, y, reduction, dilation, (row, column) => {
      const top = row * stride[0] - padding[0];
      const left = column * stride[1] - padding[1];
      const [firstRow, endRow] = insideWindow(top, kernel[0], dilation[0], x.h);
      const [firstColumn, endColumn] = insideWindow(left, kernel[1], dilation[1], x.w);
      return {
        row: top + firstRow * dilation[0],
        column: left + firstColumn * dilation[1],
        rows: endRow - firstRow,
        columns: endColumn - firstColumn,
        divisor: divisor(0, row) * divisor(1, column),
      };
    });
    return;
  }
  parallelForRows(p, `${reduction} pool ${kernel.join('x')}`, y, (image, row) => {
    const top = row * stride[0] - padding[0];
    const [first, end] = insideWindow(top, kernel[0], dilation[0], x.h);
    const shape = {
      reduction,
      rows: end - first,
      ...windowRow(attrs, kernel[1], x, y),
      divisors:
        reduction === 'mean'
          ? Array.from({ length: y.w }, (_, column) => divisor(0, row) * divisor(1, column))
          : undefined,
    };
    const rows = Array.from({ length: end - first }, (_, tap) =>
      rowAt(x, image, top + (first + tap) * dilation[0]),
    );
    const computeRow = p.kernel(poolRow, shape);
    return computeRow({ x: rows, y: rowAt(y, image, row), groups });
  });
}

/**
 * The window of one output pixel: its first row and column, its extents inside the image, the divisor of a mean.
 */
interface Area {
  readonly row: number;
  readonly column: number;
  readonly rows: number;
  readonly columns: number;
  readonly divisor: number;
}

/**
 * Adds a phase with one call per output pixel.
 * @param areaOf - gives the window of an output pixel.
 */
function areasPhase(
  p: LoweringContext,
  x: Pixels,
  y: Pixels,
  reduction: Reduction,
  dilation: readonly [number, number],
  areaOf: (row: number, column: number) => Area,
): void {
  const reduce = p.kernel(poolArea, {
    reduction,
    row: x.rowStride * dilation[0],
    column: x.pixelStride * dilation[1],
  });
  const groups = channelGroups(x.c);
  const call = (pixel: number, [firstGroup, endGroup]: Range): Call => {
    const [image, row, column] = [
      Math.floor(pixel / (y.h * y.w)),
      Math.floor(pixel / y.w) % y.h,
      pixel % y.w,
    ];
    const area = areaOf(row, column);
    const channel = firstGroup * CHANNEL_BLOCK * FLOAT;
    return reduce({
      x: rowAt(x, image, area.row).plus(area.column * x.pixelStride + channel),
      y: rowAt(y, image, row).plus(column * y.pixelStride + channel),
      rows: area.rows,
      columns: area.columns,
      factor: 1 / area.divisor,
      groups: endGroup - firstGroup,
    });
  };
  const pixels = y.n * y.h * y.w;
  const work = { items: pixels, parts: groups, shareParts: pixels < 2 * p.threads };
  parallelForItems(p, `${reduction} pool`, work, call);
}

function lowerAdaptive(p: LoweringContext, node: Node, reduction: Reduction): void {
  const [x, y] = [pixelsOf(p, node.inputs[0]!), pixelsOf(p, node)];
  areasPhase(p, x, y, reduction, [1, 1], (row, column) => {
    const [top, bottom] = adaptiveRange(row, x.h, y.h);
    const [left, right] = adaptiveRange(column, x.w, y.w);
    const [rows, columns] = [bottom - top, right - left];
    return { row: top, column: left, rows, columns, divisor: rows * columns };
  });
}
