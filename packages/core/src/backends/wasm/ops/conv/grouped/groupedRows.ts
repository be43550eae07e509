/** Row-wise grouped convolutions: each kernel call computes one row of output pixels. */

import { FLOAT } from '../../../codegen/kernel.js';
import { MAX_WINDOW_ROWS } from '../../../codegen/windowRow.js';
import { rowAt } from '../../../memory/layout.js';
import type { LoweringContext } from '../../../schedule/context.js';
import type { Call } from '../../../schedule/kernelCache.js';
import { shareOf } from '../../../schedule/ranges.js';
import { pack } from '../../data/pack.js';
import { insideWindow, windowRow } from '../../data/padding.js';
import { biasOf, pixelsOf } from '../../lowering.js';
import type { Convolution } from '../convolution.js';
import { groupedSeconds } from '../costModel.js';
import { type GroupedLanes, type GroupedRow, groupedLanes, groupedRow } from './groupedRowsKernel.js';

/** Bytes of weights that stay in a first-level cache while their sets loop over all rows. */
const CACHED_WEIGHTS = 16 * 1024;

/**
 * Maximum number of output channels of a group. With more, matrix products are as fast; so they are with 16,
 * but with 32 and 7x7 pixels they are a fifth slower.
 */
const MAX_OUTPUTS = 32;

/**
 * Returns how the channels fill vectors; undefined if the row-wise kernel would multiply zeros or has no
 * advantage.
 */
export function chooseGroupedRows(
  p: LoweringContext,
  { attrs: { groups }, kernel, channels, out }: Convolution,
): GroupedLanes | undefined {
  const [inEach, outEach] = [channels / groups, out / groups];
  // A window of one column shares no values between outputs, and wide groups fill the tiles of a matrix
  // product.
  const suits =
    kernel[0] <= MAX_WINDOW_ROWS && kernel[1] > 1 && kernel[1] <= MAX_WINDOW_ROWS && outEach <= MAX_OUTPUTS;
  return suits ? groupedLanes(p.engine, { groups, inEach, outEach }) : undefined;
}

/** Plans a row-wise grouped convolution. */
export function lowerGroupedRows(p: LoweringContext, convolution: Convolution, lanes: GroupedLanes): void {
  const { attrs, weight, order, bias, residual, kernel, channels, out, y } = convolution;
  const { stride, dilation, padding, groups, activation } = attrs;
  const [windowRows, columns] = kernel;
  const x = convolution.x();
  const residualPixels = residual && pixelsOf(p, residual);
  const sets = groups / lanes.setGroups;
  const [setIn, setOut] = [channels / sets, out / sets];
  const block = windowRows * lanes.inEach * columns * lanes.lanes;
  const setFloats = lanes.blocks * block;
  const outEach = out / groups;
  const weights = pack(p, weight, sets * setFloats, [
    {
      loops: [
        { count: sets, from: lanes.setGroups * order.group, to: setFloats },
        { count: lanes.blocks, from: lanes.lanes * order.out, to: block },
        { count: windowRows, from: order.row, to: block / windowRows },
        { count: lanes.inEach, from: order.in, to: columns * lanes.lanes },
        { count: columns, from: order.column, to: lanes.lanes },
        { count: lanes.setGroups, from: order.group, to: outEach },
        { count: lanes.lanes / lanes.setGroups, from: order.out, to: 1 },
      ],
      from: order.start,
      to: 0,
    },
  ]);
  const biasAt = biasOf(p, bias, out);
  /** Computes a row, counted through all images, for a range of sets. */
  const call = (index: number, [first, end]: readonly [number, number]): Call => {
    const [image, row] = [Math.floor(index / y.h), index % y.h];
    const inputRow = (tap: number): number => row * stride[0] - padding[0] + tap * dilation[0];
    const [firstRow, endRow] = insideWindow(inputRow(0), windowRows, dilation[0], x.h);
    const shape: GroupedRow = {
      channels: lanes,
      ...windowRow(attrs, columns, x, y),
      windowRows,
      firstRow,
      endRow,
      residualPixel: residualPixels?.pixelStride,
      activation,
    };
    const rows = Array.from({ length: endRow - firstRow }, (_, tap) =>
      rowAt(x, image, inputRow(firstRow + tap)).plus(first * setIn * FLOAT),
    );
    const computeRow = p.kernel(groupedRow, shape);
    return computeRow({
      x: rows,
      y: rowAt(y, image, row).plus(first * setOut * FLOAT),
      weights: weights.plus(first * setFloats * FLOAT),
      bias: biasAt.plus(first * setOut * FLOAT),
      residual: residualPixels && rowAt(residualPixels, image, row).plus(first * setOut * FLOAT),
      sets: end - first,
    });
  };
  const rows = y.n * y.h;
  const setBytes = setFloats * FLOAT;
  const cachedSets = Math.max(1, Math.floor(CACHED_WEIGHTS / setBytes));
  // Threads divide the sets instead of the rows if there are few rows, which would not divide evenly, or if
  // the weights are larger than the input: each weight is then read by one core.
  const bySets = sets >= p.threads && (rows < 8 * p.threads || sets * setBytes > x.n * x.imageStride);
  p.addExpectedSeconds(
    groupedSeconds(p.engine, {
      pixels: y.n * y.h * y.w,
      count: groups,
      inner: windowRows * columns * lanes.inEach,
      columns: outEach,
    }),
  );
  p.addPhase(`grouped ${kernel.join('x')}`, (thread) => {
    const [from, to] = bySets ? shareOf(sets, thread, p.threads) : [0, sets];
    const [top, bottom] = bySets ? [0, rows] : shareOf(rows, thread, p.threads);
    const calls: Call[] = [];
    for (let first = from; first < to; first += cachedSets)
      for (let row = top; row < bottom; row++)
        calls.push(call(row, [first, Math.min(to, first + cachedSets)]));
    return calls;
  });
}
