/**
 * Weight gradient of a depthwise convolution. Output rows are summed in parts whose number depends on the
 * shape alone, and the partial sums are added in order, so results have the same bits for any number of
 * threads.
 */
import type { Node } from '../../../../../graph/graph.js';
import type { Conv2dGradAttrs } from '../../../../../ops/conv2d.js';
import { FLOAT, LANES, paddedChannels } from '../../../codegen/kernel.js';
import { rowAt } from '../../../memory/layout.js';
import type { LoweringContext } from '../../../schedule/context.js';
import type { Call } from '../../../schedule/kernelCache.js';
import { shareOf } from '../../../schedule/ranges.js';
import { pixelsOf } from '../../lowering.js';
import { sumPartsPhase } from '../../reduce/sumParts.js';
import { depthwiseVectors } from './depthwiseKernel.js';
import { depthwiseWeightGradientRow } from './depthwiseWeightGradientKernel.js';

/** Maximum number of output pixels of a part, as far as whole rows allow. */
const PART_PIXELS = 1024;

export function lowerDepthwiseWeightGradient(p: LoweringContext, node: Node<Conv2dGradAttrs>): void {
  const [gradient, input] = node.inputs as [Node, Node];
  const { stride, dilation, padding, shape } = node.attrs;
  const [channels, , rows, columns] = shape as [number, number, number, number];
  const [dy, x] = [pixelsOf(p, gradient), pixelsOf(p, input)];
  const padded = paddedChannels(channels);
  const tap = padded * FLOAT;
  const taps = rows * columns;
  const imageParts = Math.min(dy.h, Math.ceil((dy.h * dy.w) / PART_PIXELS));
  const count = dy.n * imageParts;
  const at = p.workspace(count * taps * tap);
  const sumRows = p.kernel(depthwiseWeightGradientRow, {
    columns,
    stride: stride[1],
    dilation: dilation[1],
    left: padding[1],
    width: x.w,
    outputWidth: dy.w,
    pixelStride: { x: x.pixelStride, dy: dy.pixelStride },
    rowStride: { x: stride[0] * x.rowStride, dy: dy.rowStride },
    tapStride: tap,
  });
  const groups = padded / (depthwiseVectors(p.engine) * LANES);
  const call = (part: number, windowRow: number): Call => {
    const image = Math.floor(part / imageParts);
    const [from, to] = shareOf(dy.h, part % imageParts, imageParts);
    const shift = windowRow * dilation[0] - padding[0];
    // Output rows for which the window's row is inside the image.
    const first = Math.max(from, Math.ceil(-shift / stride[0]));
    const end = Math.max(first, Math.min(to, Math.ceil((x.h - shift) / stride[0])));
    const xRow = end > first ? first * stride[0] + shift : 0;
    return sumRows({
      x: rowAt(x, image, xRow),
      dy: rowAt(dy, image, end > first ? first : 0),
      result: at.plus((part * taps + windowRow * columns) * tap),
      rows: end - first,
      groups,
    });
  };
  const algorithm = `depthwise ${rows}x${columns} over pixels`;
  p.parallelFor(algorithm, count, (from, to) =>
    Array.from({ length: (to - from) * rows }, (_, i) => call(from + Math.floor(i / rows), i % rows)),
  );
  sumPartsPhase(p, { at, count, bytes: taps * tap, algorithm }, p.value(node).at, [{ from: 0, to: 0 }], {
    channels: taps,
    taps: 1,
    columns: channels,
    from: { channel: tap, tap: 0 },
    to: { channel: FLOAT, tap: 0, column: taps * FLOAT },
  });
}
