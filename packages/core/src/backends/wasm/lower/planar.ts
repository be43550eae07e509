/** Convolutions on planar pictures of few channels: a network's first layer reads the host's tensor as it lies. */
import type { Node } from '../../../graph/graph.js';
import { FLOAT } from '../kernels/kernel.js';
import { paddedRows } from '../kernels/padding.js';
import type { Planner } from '../plan/planner.js';
import { type Dense, extents } from '../plan/value.js';
import { type Convolution, convolve } from './convolution.js';
import { padCalls, reach } from './padding.js';

/** A convolution on planar pictures: the inner dimension goes over planes and rows of the window. */
export function lowerPlanar(p: Planner, convolution: Convolution, x: Node): void {
  const { attrs, kernel, channels, order } = convolution;
  const { stride, dilation, padding } = attrs;
  const { n, h: height, w: width } = extents(x.shape);
  const [top, left] = padding;
  const { h, w } = convolution.y;
  const [paddedHeight, paddedWidth] = reach(attrs, kernel, { h, w });
  const source = p.value(x) as Dense;
  const rowBytes = width * FLOAT;
  const [row, plane] = [paddedWidth * FLOAT, paddedHeight * paddedWidth * FLOAT];
  let at = source.at;
  let [planeStep, rowStep] = [height * rowBytes, rowBytes];
  if (padding.some((pixels) => pixels > 0)) {
    const target = p.scratch(n * channels * plane);
    const columns = Math.min(width, paddedWidth - left);
    const pad = p.kernel(
      'padded rows',
      {
        from: rowBytes,
        to: row,
        before: left * FLOAT,
        after: (paddedWidth - left - columns) * FLOAT,
        runs: 1,
        runBytes: columns * FLOAT,
        runFrom: columns * FLOAT,
      },
      (_, shape) => paddedRows(shape),
    );
    p.algorithm('pad');
    p.spread(n * channels * paddedHeight, (from, to) =>
      padCalls(pad, paddedHeight, top, Math.min(height, paddedHeight - top), from, to, {
        source: (image, y) => source.at.plus((image * height + y) * rowBytes),
        target: (image, y) => target.plus(image * plane + y * row),
      }),
    );
    [at, planeStep, rowStep] = [target, plane, row];
  }
  const dilated = dilation[1] > 1;
  convolve(
    p,
    convolution,
    {
      x: {
        kind: 'pixels',
        at,
        n,
        c: channels,
        h,
        w,
        image: channels * planeStep,
        row: rowStep * stride[0],
        pixel: stride[1] * FLOAT,
      },
      inner: {
        loops: [
          { count: channels, stride: planeStep },
          { count: kernel[0], stride: rowStep * dilation[0] },
          ...(dilated ? [{ count: kernel[1], stride: dilation[1] * FLOAT }] : []),
        ].filter(({ count }) => count > 1),
        run: dilated ? 1 : kernel[1],
      },
      order: [
        { count: channels, from: order.in },
        { count: kernel[0], from: order.row },
        { count: kernel[1], from: order.column },
      ],
    },
    n * channels * height * rowBytes,
    'direct planar',
  );
}
