/** First convolution of a network: reads the NCHW input of few channels without converting it to NHWC. */
import type { Node } from '../../../../graph/graph.js';
import { FLOAT } from '../../codegen/kernel.js';
import { type Dense, extents } from '../../memory/layout.js';
import type { Pointer } from '../../memory/region.js';
import type { LoweringContext } from '../../schedule/context.js';
import type { Call } from '../../schedule/kernelCache.js';
import { padCalls, paddedExtents } from '../data/padding.js';
import { paddedRows } from '../data/paddingKernel.js';
import { biasOf } from '../lowering.js';
import { packPanels } from '../matmul/matmul.js';
import { planRowMatmul, type Rows } from '../matmul/rowMatmul.js';
import type { Convolution, ConvolutionLayer } from './convolution.js';
import { type DirectWindow, directConvolution } from './direct.js';

/** The NCHW input with zero padding: [image][channel][row][column]. Strides are in bytes. */
interface NchwInput {
  readonly at: Pointer;
  /** Rows of a channel's plane, with padding. */
  readonly height: number;
  readonly planeStride: number;
  readonly rowStride: number;
  /**
   * Returns the calls that copy rows with their padding; none if the convolution has no padding and reads the
   * input in place.
   * @param from - first padded row, counted through all planes of all images.
   */
  readonly padRows: (from: number, to: number) => readonly Call[];
}

function nchwInputOf(
  p: LoweringContext,
  { attrs, kernel, channels }: ConvolutionLayer,
  x: Node,
  y: { readonly h: number; readonly w: number },
): NchwInput {
  const { n, h: height, w: width } = extents(x.shape);
  const [top, left] = attrs.padding;
  const source = (p.value(x) as Dense).at;
  const rowBytes = width * FLOAT;
  if (attrs.padding.every((pixels) => pixels === 0))
    return { at: source, height, planeStride: height * rowBytes, rowStride: rowBytes, padRows: () => [] };
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
    planeStride: plane,
    rowStride: row,
    padRows: (from, to) =>
      padCalls(pad, paddedHeight, top, Math.min(height, paddedHeight - top), from, to, {
        source: (image, y) => source.plus((image * height + y) * rowBytes),
        target: (image, y) => target.plus(image * plane + y * row),
      }),
  };
}

/** The window on an NCHW input: the inner dimension loops over channels and rows of the window. */
function windowOn(
  { planeStride, rowStride }: NchwInput,
  { attrs: { dilation }, kernel, channels, order }: ConvolutionLayer,
): Omit<DirectWindow, 'x'> {
  const dilated = dilation[1] > 1;
  return {
    inner: {
      loops: [
        { count: channels, stride: planeStride },
        { count: kernel[0], stride: rowStride * dilation[0] },
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

/** Adds the phases of a first convolution. */
export function lowerFirstConv(p: LoweringContext, convolution: Convolution, x: Node): void {
  const { attrs, channels, y } = convolution;
  const input = nchwInputOf(p, convolution, x, y);
  const { at, height, planeStride, rowStride, padRows } = input;
  const rows = y.n * channels * height;
  if (padRows(0, rows).length > 0) {
    p.parallelFor('pad', rows, padRows);
  }
  directConvolution(
    p,
    convolution,
    {
      ...windowOn(input, convolution),
      x: {
        kind: 'pixels',
        at,
        n: y.n,
        c: channels,
        h: y.h,
        w: y.w,
        imageStride: channels * planeStride,
        rowStride: rowStride * attrs.stride[0],
        pixelStride: attrs.stride[1] * FLOAT,
      },
    },
    x.shape.reduce((size, extent) => size * extent, FLOAT),
    'direct NCHW',
  );
}

/** A first convolution that is computed row-wise. */
export interface FirstConvRows {
  /**
   * Returns the calls that compute output rows of one image.
   * @param continued - true if the same thread also computed the previous row, whose input rows are already
   * padded.
   */
  readonly calls: (
    image: number,
    rows: readonly [from: number, to: number],
    continued: boolean,
    y: Rows,
  ) => readonly Call[];
}

/** Plans a row-wise first convolution: packs its weights. Each thread pads the input rows that it reads. */
export function planFirstConvRows(
  p: LoweringContext,
  layer: ConvolutionLayer,
  x: Node,
  y: { readonly h: number; readonly w: number; readonly pixelStride: number },
): FirstConvRows {
  const { attrs, kernel, channels, out, weight, bias, order } = layer;
  const { stride } = attrs;
  const input = nchwInputOf(p, layer, x, y);
  const window = windowOn(input, layer);
  const { call } = planRowMatmul(p, {
    inner: window.inner,
    columns: out,
    weights: (panel) => packPanels(p, weight, out, panel, window.order, order.out, order.start),
    bias: bias && biasOf(p, bias, out),
    activation: attrs.activation,
    pixel: { a: stride[1] * FLOAT, c: y.pixelStride, residual: 0 },
  });
  /** End of the padded input rows under an output row's window. */
  const inputEnd = (row: number): number => row * stride[0] + (kernel[0] - 1) * attrs.dilation[0] + 1;
  return {
    calls(image, [from, to], continued, target) {
      const first = continued ? inputEnd(from - 1) : from * stride[0];
      const calls: Call[] = [];
      for (let plane = image * channels; plane < (image + 1) * channels; plane++) {
        const start = plane * input.height;
        calls.push(...input.padRows(start + first, start + inputEnd(to - 1)));
      }
      const imageAt = input.at.plus(image * channels * input.planeStride);
      for (let row = from; row < to; row++)
        calls.push(
          call(
            y.w,
            imageAt.plus(row * stride[0] * input.rowStride),
            target.at.plus((row - from) * target.rowStride),
          ),
        );
      return calls;
    },
  };
}
