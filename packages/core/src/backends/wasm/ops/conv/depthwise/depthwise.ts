/** Depthwise convolutions: each kernel call computes one row of output pixels. */

import { FLOAT, LANES, paddedChannels } from '../../../codegen/kernel.js';
import { type Pixels, rowAt } from '../../../memory/layout.js';
import type { Pointer } from '../../../memory/region.js';
import type { LoweringContext } from '../../../schedule/context.js';
import type { Call } from '../../../schedule/kernelCache.js';
import { pack } from '../../data/pack.js';
import { insideWindow, windowRow } from '../../data/padding.js';
import { biasOf, parallelForItems, pixelsOf } from '../../lowering.js';
import type { Convolution, ConvolutionLayer } from '../convolution.js';
import { depthwiseRow, depthwiseVectors, depthwiseWeightIndex } from './depthwiseKernel.js';

/** A planned depthwise convolution, computed row by row. */
export interface DepthwiseRows {
  /**
   * Number of channel groups; a group is the channels of one register, or of a pair of them with wide SIMD.
   */
  readonly groups: number;
  readonly groupChannels: number;
  /** Returns the rows of x that the windows of output rows `from` to `to` read, clamped to the image. */
  readonly inputRows: (from: number, to: number) => readonly [first: number, end: number];
  /** Returns the maximum number of rows of x under `rows` consecutive output rows. */
  readonly span: (rows: number) => number;
  /**
   * Returns the call that computes one output row.
   * @param xRow - gives the address of a row of x.
   * @param y - address of the output row.
   * @param groups - channel groups to compute.
   * @param residualOrSums - address of the residual's row, or of the row's sums.
   */
  readonly call: (
    row: number,
    xRow: (row: number) => Pointer,
    y: Pointer,
    groups: readonly [from: number, to: number],
    residualOrSums?: Pointer,
  ) => Call;
}

/** Extents and pixel stride of a value. */
type RowShape = Pick<Pixels, 'h' | 'w' | 'pixelStride'>;

/**
 * Plans a depthwise convolution: packs its weights.
 * @param options.residualPixel - pixel stride of the residual in bytes; undefined if there is none.
 * @param options.sums - true to sum each channel along every row as well.
 */
export function planDepthwise(
  p: LoweringContext,
  { attrs, weight, order, bias, kernel, channels }: ConvolutionLayer,
  x: RowShape,
  y: RowShape,
  { residualPixel, sums = false }: { readonly residualPixel?: number; readonly sums?: boolean } = {},
): DepthwiseRows {
  const { stride, dilation, padding, activation } = attrs;
  const [windowRows, columns] = kernel;
  const taps = windowRows * columns;
  const groupFloats = depthwiseVectors(p.engine) * LANES;
  const padded = paddedChannels(channels);
  const full = Math.floor(channels / groupFloats);
  const group = (count: number, first: number) => ({
    loops: [
      { count: windowRows, from: order.row, to: columns * groupFloats },
      { count: columns, from: order.column, to: groupFloats },
      { count, from: order.group, to: 1 },
    ],
    from: order.start + first * order.group,
    to: depthwiseWeightIndex(p.engine, taps, first, 0),
  });
  const weights = pack(p, weight, padded * taps, [
    ...Array.from({ length: full }, (_, index) => group(groupFloats, index * groupFloats)),
    ...(channels > full * groupFloats ? [group(channels - full * groupFloats, full * groupFloats)] : []),
  ]);
  const biasAt = biasOf(p, bias, channels);
  const inputRow = (row: number, tap: number): number => row * stride[0] - padding[0] + tap * dilation[0];
  const clamp = (row: number): number => Math.max(0, Math.min(row, x.h));
  return {
    groups: padded / groupFloats,
    groupChannels: groupFloats,
    inputRows: (from, to) => [clamp(inputRow(from, 0)), clamp(inputRow(to - 1, windowRows - 1) + 1)],
    span: (rows) => (rows - 1) * stride[0] + (windowRows - 1) * dilation[0] + 1,
    call(row, xRow, yRow, [firstGroup, endGroup], residualOrSums) {
      const [firstRow, endRow] = insideWindow(inputRow(row, 0), windowRows, dilation[0], x.h);
      const shape = {
        ...windowRow(attrs, columns, x, y),
        windowRows,
        firstRow,
        endRow,
        residual: residualPixel !== undefined,
        residualPixel: residualPixel ?? 0,
        sums,
        activation,
      };
      const channel = firstGroup * groupFloats * FLOAT;
      const rows = Array.from({ length: endRow - firstRow }, (_, tap) =>
        xRow(inputRow(row, firstRow + tap)).plus(channel),
      );
      const computeRow = p.kernel(depthwiseRow, shape);
      return computeRow({
        x: rows,
        y: yRow.plus(channel),
        weights: weights.plus(channel * taps),
        bias: biasAt.plus(channel),
        residualOrSums: residualOrSums?.plus(channel),
        groups: endGroup - firstGroup,
      });
    },
  };
}

export function lowerDepthwise(p: LoweringContext, convolution: Convolution): void {
  const { residual, kernel, y } = convolution;
  const x = convolution.x();
  const residualPixels = residual && pixelsOf(p, residual);
  const { groups, call } = planDepthwise(p, convolution, x, y, {
    residualPixel: residualPixels?.pixelStride,
  });
  /** Computes a row, counted through all images, for a range of channel groups. */
  const rowCall = (index: number, range: readonly [number, number]): Call => {
    const [image, row] = [Math.floor(index / y.h), index % y.h];
    const residualRow = residualPixels && rowAt(residualPixels, image, row);
    return call(row, (xRow) => rowAt(x, image, xRow), rowAt(y, image, row), range, residualRow);
  };
  const rows = y.n * y.h;
  // Few rows would not divide evenly among threads.
  const shareParts = rows < 8 * p.threads && groups >= p.threads;
  parallelForItems(p, `depthwise ${kernel.join('x')}`, { items: rows, parts: groups, shareParts }, rowCall);
}
