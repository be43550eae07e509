/** Convolutions in groups with a window, row by row. */

import { FLOAT } from '../../../codegen/kernel.js';
import type { Pixels } from '../../../memory/layout.js';
import type { Pointer } from '../../../memory/region.js';
import { type Call, type Planner, shareOf } from '../../../schedule/planner.js';
import { pack } from '../../data/pack.js';
import { insideWindow } from '../../data/padding.js';
import { biasOf, pixelsOf } from '../../lowering.js';
import type { Convolution } from '../convolution.js';
import { groupedSeconds } from '../costModel.js';
import { MOST_ROWS } from '../depthwise/depthwiseKernel.js';
import { type GroupedLanes, type GroupedRow, groupedLanes, groupedRow } from './groupedRowKernel.js';

/** Sets whose weights take no more than this, so that a first-level cache holds them, pass over all rows together. */
const CACHED_WEIGHTS = 16 * 1024;

/** Output channels of a group, above which a product is as fast: it is at 16, but lacks a fifth at 32 and 7x7 pixels. */
const MOST_OUTPUTS = 32;

/** How the groups of a convolution fill vectors, if it can be computed row by row without multiplying zeros. */
export function chooseGroupedRows(
  p: Planner,
  { attrs: { groups }, kernel, channels, out }: Convolution,
): GroupedLanes | undefined {
  const [inEach, outEach] = [channels / groups, out / groups];
  // A window of one column shares no values between outputs, and wide groups fill a product's tiles by themselves.
  const suits = kernel[0] <= MOST_ROWS && kernel[1] > 1 && kernel[1] <= MOST_ROWS && outEach <= MOST_OUTPUTS;
  return suits ? groupedLanes(p.engine, { groups, inEach, outEach }) : undefined;
}

export function lowerGroupedRows(p: Planner, convolution: Convolution, lanes: GroupedLanes): void {
  const { attrs, weight, order, bias, residual, kernel, channels, out, y } = convolution;
  const { stride, dilation, padding, groups, activation } = attrs;
  const [windowRows, columns] = kernel;
  const x = convolution.x();
  const residualPixels = residual && pixelsOf(p, residual);
  const sets = groups / lanes.together;
  const [setIn, setOut] = [channels / sets, out / sets];
  const block = windowRows * lanes.inEach * columns * lanes.lanes;
  const setFloats = lanes.blocks * block;
  const outEach = out / groups;
  const weights = pack(p, weight, sets * setFloats, [
    {
      loops: [
        { count: sets, from: lanes.together * order.group, to: setFloats },
        { count: lanes.blocks, from: lanes.lanes * order.out, to: block },
        { count: windowRows, from: order.row, to: block / windowRows },
        { count: lanes.inEach, from: order.in, to: columns * lanes.lanes },
        { count: columns, from: order.column, to: lanes.lanes },
        { count: lanes.together, from: order.group, to: outEach },
        { count: lanes.lanes / lanes.together, from: order.out, to: 1 },
      ],
      from: order.start,
      to: 0,
    },
  ]);
  const biasAt = biasOf(p, bias, out);
  /** One row of one picture, for some sets. */
  const call = (index: number, [first, end]: readonly [number, number]): Call => {
    const [image, row] = [Math.floor(index / y.h), index % y.h];
    const at = (value: Pixels, of: number): Pointer =>
      value.at.plus(image * value.imageStride + of * value.rowStride);
    const source = (tap: number): number => row * stride[0] - padding[0] + tap * dilation[0];
    const [firstRow, endRow] = insideWindow(source(0), windowRows, dilation[0], x.h);
    const shape: GroupedRow = {
      channels: lanes,
      columns,
      windowRows,
      firstRow,
      endRow,
      stride: stride[1],
      dilation: dilation[1],
      left: padding[1],
      width: x.w,
      outputWidth: y.w,
      pixel: { x: x.pixelStride, y: y.pixelStride },
      residualPixel: residualPixels?.pixelStride,
      activation,
    };
    const rows = Array.from({ length: endRow - firstRow }, (_, tap) =>
      at(x, source(firstRow + tap)).plus(first * setIn * FLOAT),
    );
    const makeRow = p.kernel(groupedRow, shape);
    return makeRow({
      x: rows,
      y: at(y, row).plus(first * setOut * FLOAT),
      weights: weights.plus(first * setFloats * FLOAT),
      bias: biasAt.plus(first * setOut * FLOAT),
      residual: residualPixels && at(residualPixels, row).plus(first * setOut * FLOAT),
      sets: end - first,
    });
  };
  const rows = y.n * y.h;
  const setBytes = setFloats * FLOAT;
  const some = Math.max(1, Math.floor(CACHED_WEIGHTS / setBytes));
  // Few rows cannot be shared out evenly, and large weights are better read by one core each: sets can be shared too.
  const bySets = sets >= p.threads && (rows < 8 * p.threads || sets * setBytes > x.n * x.imageStride);
  p.setAlgorithm(`grouped ${kernel.join('x')}`);
  p.addExpectedSeconds(
    groupedSeconds(p.engine, {
      pixels: y.n * y.h * y.w,
      count: groups,
      inner: windowRows * columns * lanes.inEach,
      columns: outEach,
    }),
  );
  p.addPhase((thread) => {
    const [from, to] = bySets ? shareOf(sets, thread, p.threads) : [0, sets];
    const [top, bottom] = bySets ? [0, rows] : shareOf(rows, thread, p.threads);
    const calls: Call[] = [];
    for (let first = from; first < to; first += some)
      for (let row = top; row < bottom; row++) calls.push(call(row, [first, Math.min(to, first + some)]));
    return calls;
  });
}
