/**
 * Direct convolution as an implicit matrix product: row i of A is the input under the window of output pixel
 * i. A is not copied (no im2col): the inner dimension of the matrix product loops over the rows and columns
 * of the window.
 */
import { FLOAT } from '../../codegen/kernel.js';
import type { Pixels } from '../../memory/layout.js';
import type { LoweringContext } from '../../schedule/context.js';
import { paddedExtents, padPixels } from '../data/padding.js';
import { biasOf, pixelsOf } from '../lowering.js';
import { type InnerOrder, type MatmulLayer, matmulPhase, packPanels } from '../matmul/matmul.js';
import type { Convolution } from './convolution.js';

/** Operand A of the implicit matrix product, and the order of its inner dimension. */
export interface DirectWindow {
  /** Address of the window's first tap for each output pixel. Its extents are those of y. */
  readonly x: Pixels;
  /** Loops over the window and the input channels, as strides of x in bytes. */
  readonly inner: MatmulLayer['inner'];
  /** The same loops as strides of the weight, in floats. */
  readonly order: InnerOrder;
}

/**
 * Adds the phase of the matrix product.
 * @param inputBytes - bytes of the input, which are compared with those of the weights.
 * @param name - algorithm label in profiles.
 */
export function directConvolution(
  p: LoweringContext,
  { weight, order, bias, residual, attrs, out, y }: Convolution,
  window: DirectWindow,
  inputBytes: number,
  name: string,
): void {
  matmulPhase(p, {
    name,
    inner: window.inner,
    columns: out,
    weights: (panel) => packPanels(p, weight, out, panel, window.order, order.out, order.start),
    constant: p.constantValue(weight) !== undefined,
    bias: bias && biasOf(p, bias, out),
    residual: residual && pixelsOf(p, residual),
    activation: attrs.activation,
    x: window.x,
    y,
    inputBytes,
  });
}

/**
 * Returns operand A over an NHWC input, which is padded with zeros if necessary.
 * @param channels - input channels of a group.
 */
export function directWindow(
  p: LoweringContext,
  { attrs, order: weight, kernel, y: { h, w } }: Convolution,
  x: Pixels,
  channels: number,
): DirectWindow {
  const { stride, dilation } = attrs;
  const padded = padPixels(p, x, attrs.padding, paddedExtents(attrs, kernel, { h, w }));
  const order = [
    { count: kernel[0], from: weight.row },
    { count: kernel[1], from: weight.column },
    { count: channels, from: weight.in },
  ];
  // The taps of a row are one contiguous run if pixels have no gaps between them.
  const contiguous = dilation[1] === 1 && padded.pixelStride === channels * FLOAT;
  const loops = [
    { count: kernel[0], stride: dilation[0] * padded.rowStride },
    ...(contiguous ? [] : [{ count: kernel[1], stride: dilation[1] * padded.pixelStride }]),
  ];
  return {
    inner: {
      loops: loops.filter(({ count }) => count > 1),
      run: contiguous ? kernel[1] * channels : channels,
    },
    order,
    x: {
      ...padded,
      h,
      w,
      rowStride: padded.rowStride * stride[0],
      pixelStride: padded.pixelStride * stride[1],
    },
  };
}
