/** Depthwise convolutions, row by row. */
import { depthwiseRow, depthwiseVectors, depthwiseWeightIndex, MOST_ROWS } from '../kernels/depthwise.js';
import { FLOAT, LANES, paddedChannels } from '../kernels/kernel.js';
import type { Call, Planner } from '../plan/planner.js';
import type { Convolution } from './conv2d.js';
import { biasOf, pack, pixelsOf } from './lowering.js';

export function lowerDepthwise(p: Planner, convolution: Convolution): void {
  const { attrs, weight, order, bias, residual, kernel, channels, y } = convolution;
  const { stride, dilation, padding, activation } = attrs;
  const x = convolution.x();
  const residualPixels = residual && pixelsOf(p, residual);
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
  const groups = padded / groupFloats;

  /** One row of one picture, for some groups of channels. */
  const call = (index: number, firstGroup: number, endGroup: number): Call => {
    const [image, row] = [Math.floor(index / y.h), index % y.h];
    const source = (tap: number): number => row * stride[0] - padding[0] + tap * dilation[0];
    const inside = Array.from({ length: windowRows }, (_, tap) => tap).filter(
      (tap) => source(tap) >= 0 && source(tap) < x.h,
    );
    const firstRow = inside[0] ?? 0;
    const shape = {
      columns,
      windowRows,
      firstRow,
      endRow: firstRow + inside.length,
      stride: stride[1],
      dilation: dilation[1],
      left: padding[1],
      width: x.w,
      outputWidth: y.w,
      pixel: { x: x.pixel, y: y.pixel },
      residual: residualPixels !== undefined,
      residualPixel: residualPixels?.pixel ?? 0,
      activation,
    };
    const channel = firstGroup * groupFloats * FLOAT;
    const rows = inside.map((tap) => x.at.plus(image * x.image + source(tap) * x.row + channel));
    return {
      kernel: p.kernel('depthwise row', shape, depthwiseRow),
      parameters: [
        ...rows,
        ...new Array<number>(MOST_ROWS - rows.length).fill(0),
        y.at.plus(image * y.image + row * y.row + channel),
        weights.plus(channel * taps),
        biasAt.plus(channel),
        residualPixels?.at.plus(image * residualPixels.image + row * residualPixels.row + channel) ?? 0,
        endGroup - firstGroup,
      ],
    };
  };
  const rows = y.n * y.h;
  p.algorithm(`depthwise ${windowRows}x${columns}`);
  // Few rows cannot be shared out evenly; channels can.
  if (rows < 8 * p.threads && groups >= p.threads)
    p.spread(groups, (from, to) => Array.from({ length: rows }, (_, row) => call(row, from, to)));
  else p.spread(rows, (from, to) => Array.from({ length: to - from }, (_, i) => call(from + i, 0, groups)));
}
