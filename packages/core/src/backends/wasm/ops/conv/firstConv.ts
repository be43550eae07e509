/** Convolutions on planar pictures of few channels: a network's first layer reads the host's tensor as it lies. */
import type { Node } from '../../../../graph/graph.js';
import { FLOAT } from '../../codegen/kernel.js';
import { type Dense, extents } from '../../memory/layout.js';
import type { Pointer } from '../../memory/region.js';
import type { Call, Planner } from '../../schedule/planner.js';
import { padCalls, paddedExtents } from '../data/padding.js';
import { paddedRows } from '../data/paddingKernel.js';
import { biasOf } from '../lowering.js';
import { packPanels } from '../matmul/matmul.js';
import { planRowMatmul, type Rows } from '../matmul/rowMatmul.js';
import { type Convolution, type ConvolutionLayer, convolve, type Window } from './convolution.js';

/** Planar pictures with zeros around them where the convolution asks for that, and the calls that put them there. */
interface Planes {
  readonly at: Pointer;
  /** Rows of a plane. Steps are in bytes. */
  readonly height: number;
  readonly planeStep: number;
  readonly rowStep: number;
  /** Calls that bring some rows there, counted through all planes of all pictures; none if they lie there already. */
  readonly padded: (from: number, to: number) => readonly Call[];
}

function planesOf(
  p: Planner,
  { attrs, kernel, channels }: ConvolutionLayer,
  x: Node,
  y: { readonly h: number; readonly w: number },
): Planes {
  const { n, h: height, w: width } = extents(x.shape);
  const [top, left] = attrs.padding;
  const source = (p.value(x) as Dense).at;
  const rowBytes = width * FLOAT;
  if (attrs.padding.every((pixels) => pixels === 0))
    return { at: source, height, planeStep: height * rowBytes, rowStep: rowBytes, padded: () => [] };
  const [paddedHeight, paddedWidth] = paddedExtents(attrs, kernel, y);
  const [row, plane] = [paddedWidth * FLOAT, paddedHeight * paddedWidth * FLOAT];
  const target = p.workspace(n * channels * plane);
  const columns = Math.min(width, paddedWidth - left);
  const pad = p.kernel(paddedRows, {
    from: rowBytes,
    to: row,
    before: left * FLOAT,
    after: (paddedWidth - left - columns) * FLOAT,
    runs: 1,
    runBytes: columns * FLOAT,
    runFrom: columns * FLOAT,
  });
  return {
    at: target,
    height: paddedHeight,
    planeStep: plane,
    rowStep: row,
    padded: (from, to) =>
      padCalls(pad, paddedHeight, top, Math.min(height, paddedHeight - top), from, to, {
        source: (image, y) => source.plus((image * height + y) * rowBytes),
        target: (image, y) => target.plus(image * plane + y * row),
      }),
  };
}

/** The window on planes: the inner dimension goes over planes and rows of the window. */
function windowOn(
  { planeStep, rowStep }: Planes,
  { attrs: { dilation }, kernel, channels, order }: ConvolutionLayer,
): Omit<Window, 'x'> {
  const dilated = dilation[1] > 1;
  return {
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
  };
}

/** A convolution on planar pictures as a phase of its own. */
export function lowerFirstConv(p: Planner, convolution: Convolution, x: Node): void {
  const { attrs, channels, y } = convolution;
  const planes = planesOf(p, convolution, x, y);
  const { at, height, planeStep, rowStep, padded } = planes;
  const rows = y.n * channels * height;
  if (padded(0, rows).length > 0) {
    p.setAlgorithm('pad');
    p.parallelFor(rows, padded);
  }
  convolve(
    p,
    convolution,
    {
      ...windowOn(planes, convolution),
      x: {
        kind: 'pixels',
        at,
        n: y.n,
        c: channels,
        h: y.h,
        w: y.w,
        imageStride: channels * planeStep,
        rowStride: rowStep * attrs.stride[0],
        pixelStride: attrs.stride[1] * FLOAT,
      },
    },
    x.shape.reduce((size, extent) => size * extent, FLOAT),
    'direct planar',
  );
}

/** Such a convolution, some rows at a time. */
export interface StemRows {
  /** Makes rows of one picture; `continued` says that the row before the first has been made by the same thread. */
  readonly calls: (
    image: number,
    rows: readonly [from: number, to: number],
    continued: boolean,
    y: Rows,
  ) => readonly Call[];
}

/** Packs the weights of a convolution on planar pictures. Each thread puts zeros around the rows that it reads. */
export function planStem(
  p: Planner,
  layer: ConvolutionLayer,
  x: Node,
  y: { readonly h: number; readonly w: number; readonly pixelStride: number },
): StemRows {
  const { attrs, kernel, channels, out, weight, bias, order } = layer;
  const { stride } = attrs;
  const planes = planesOf(p, layer, x, y);
  const window = windowOn(planes, layer);
  const { call } = planRowMatmul(p, {
    inner: window.inner,
    columns: out,
    weights: (panel) => packPanels(p, weight, out, panel, window.order, order.out, order.start),
    bias: bias && biasOf(p, bias, out),
    activation: attrs.activation,
    pixel: { a: stride[1] * FLOAT, c: y.pixelStride, residual: 0 },
  });
  /** The row of a plane behind the last one under a row. */
  const behind = (row: number): number => row * stride[0] + (kernel[0] - 1) * attrs.dilation[0] + 1;
  return {
    calls(image, [from, to], continued, target) {
      const first = continued ? behind(from - 1) : from * stride[0];
      const calls: Call[] = [];
      for (let plane = image * channels; plane < (image + 1) * channels; plane++) {
        const start = plane * planes.height;
        calls.push(...planes.padded(start + first, start + behind(to - 1)));
      }
      const picture = planes.at.plus(image * channels * planes.planeStep);
      for (let row = from; row < to; row++)
        calls.push(
          call(
            y.w,
            picture.plus(row * stride[0] * planes.rowStep),
            target.at.plus((row - from) * target.rowStride),
          ),
        );
      return calls;
    },
  };
}
