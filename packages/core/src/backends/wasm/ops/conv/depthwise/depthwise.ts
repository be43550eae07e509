/** Depthwise convolutions, row by row. */

import { FLOAT, LANES, paddedChannels } from '../../../codegen/kernel.js';
import type { Pixels } from '../../../memory/layout.js';
import type { Pointer } from '../../../memory/region.js';
import type { Call, Planner } from '../../../schedule/planner.js';
import { pack } from '../../data/pack.js';
import { insideWindow } from '../../data/padding.js';
import { biasOf, pixelsOf } from '../../lowering.js';
import type { Convolution, ConvolutionLayer } from '../convolution.js';
import { depthwiseRow, depthwiseVectors, depthwiseWeightIndex } from './depthwiseKernel.js';

/** A depthwise convolution whose kernels and weights are there, to be called row by row. */
export interface DepthwiseRows {
  /** Groups of channels that a kernel handles together, and how many channels a group has. */
  readonly groups: number;
  readonly groupChannels: number;
  /** The rows of x under rows `from` to `to` of y, as far as there are any: from the first up to but not including the end. */
  readonly under: (from: number, to: number) => readonly [first: number, end: number];
  /** The most rows of x under some rows of y next to each other. */
  readonly span: (rows: number) => number;
  /** Makes one row of y. `source` gives the address of a row of x. */
  readonly call: (
    row: number,
    source: (row: number) => Pointer,
    y: Pointer,
    groups: readonly [from: number, to: number],
    /** The row of the residual, or of the sums. */
    other?: Pointer,
  ) => Call;
}

/** The part of a value that row kernels are generated for. */
type RowShape = Pick<Pixels, 'h' | 'w' | 'pixelStride'>;

/** Packs the weights of a depthwise convolution. `residualPixel` is given if there is a residual to add. */
export function planDepthwise(
  p: Planner,
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
  const source = (row: number, tap: number): number => row * stride[0] - padding[0] + tap * dilation[0];
  const within = (row: number): number => Math.max(0, Math.min(row, x.h));
  return {
    groups: padded / groupFloats,
    groupChannels: groupFloats,
    under: (from, to) => [within(source(from, 0)), within(source(to - 1, windowRows - 1) + 1)],
    span: (rows) => (rows - 1) * stride[0] + (windowRows - 1) * dilation[0] + 1,
    call(row, rowAt, yAt, [firstGroup, endGroup], other) {
      const [firstRow, endRow] = insideWindow(source(row, 0), windowRows, dilation[0], x.h);
      const shape = {
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
        residual: residualPixel !== undefined,
        residualPixel: residualPixel ?? 0,
        sums,
        activation,
      };
      const channel = firstGroup * groupFloats * FLOAT;
      const rows = Array.from({ length: endRow - firstRow }, (_, tap) =>
        rowAt(source(row, firstRow + tap)).plus(channel),
      );
      const makeRow = p.kernel(depthwiseRow, shape);
      return makeRow({
        x: rows,
        y: yAt.plus(channel),
        weights: weights.plus(channel * taps),
        bias: biasAt.plus(channel),
        residualOrSums: other?.plus(channel),
        groups: endGroup - firstGroup,
      });
    },
  };
}

export function lowerDepthwise(p: Planner, convolution: Convolution): void {
  const { residual, kernel, y } = convolution;
  const x = convolution.x();
  const residualPixels = residual && pixelsOf(p, residual);
  const { groups, call } = planDepthwise(p, convolution, x, y, {
    residualPixel: residualPixels?.pixelStride,
  });
  /** One row of one picture, for some groups of channels. */
  const rowCall = (index: number, range: readonly [number, number]): Call => {
    const [image, row] = [Math.floor(index / y.h), index % y.h];
    const at = (value: Pixels, of: number): Pointer =>
      value.at.plus(image * value.imageStride + of * value.rowStride);
    return call(row, (of) => at(x, of), at(y, row), range, residualPixels && at(residualPixels, row));
  };
  const rows = y.n * y.h;
  p.setAlgorithm(`depthwise ${kernel.join('x')}`);
  // Few rows cannot be shared out evenly; channels can.
  if (rows < 8 * p.threads && groups >= p.threads)
    p.parallelFor(groups, (from, to) => Array.from({ length: rows }, (_, row) => rowCall(row, [from, to])));
  else
    p.parallelFor(rows, (from, to) =>
      Array.from({ length: to - from }, (_, i) => rowCall(from + i, [0, groups])),
    );
}
