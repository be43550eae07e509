/** What the lowerings of a convolution share: what they ask for, and a convolution as a product under a window. */
import type { Node } from '../../../../graph/graph.js';
import type { Conv2dAttrs } from '../../../../ops/conv2d.js';
import { FLOAT } from '../../codegen/kernel.js';
import type { Pixels } from '../../memory/layout.js';
import type { Planner } from '../../schedule/planner.js';
import { weightStrides } from '../data/pack.js';
import { paddedExtents, padPixels } from '../data/padding.js';
import { biasOf, pixelsOf } from '../lowering.js';
import { type InnerOrder, matmulPhase, packPanels } from '../matmul/matmul.js';

/** How a weight is read: where its first value is, and how far from one to the next, in floats. */
export interface WeightOrder {
  readonly start: number;
  readonly group: number;
  /** Output channels of a group, and input channels of a group. */
  readonly out: number;
  readonly in: number;
  readonly row: number;
  readonly column: number;
}

/** What a convolution is, wherever its values lie. */
export interface ConvolutionLayer {
  readonly attrs: Omit<Conv2dAttrs, 'residual'>;
  readonly weight: Node;
  readonly order: WeightOrder;
  readonly bias?: Node;
  readonly residual?: Node;
  readonly channels: number;
  readonly out: number;
  readonly kernel: readonly [number, number];
}

/**
 * Everything about a convolution that its lowerings ask for. The gradient of one with respect to its input is
 * a convolution too, with another order of the same weight.
 */
export interface Convolution extends ConvolutionLayer {
  /** Asked for where it is read pixel by pixel. */
  readonly x: () => Pixels;
  readonly y: Pixels;
}

/** The layer that a node is. */
export function layerOf(p: Planner, node: Node<Conv2dAttrs>): ConvolutionLayer {
  const [, weight, bias, residual] = node.inputs as [Node, Node, Node | undefined, Node | undefined];
  const { attrs } = node;
  const [out, perGroup, ...kernel] = weight.shape as [number, number, number, number];
  const [outStride, inStride, row, column] = weightStrides(p, weight) as [number, number, number, number];
  return {
    attrs,
    weight,
    order: {
      start: 0,
      group: (out / attrs.groups) * outStride,
      out: outStride,
      in: inStride,
      row,
      column,
    },
    bias,
    residual,
    channels: perGroup * attrs.groups,
    out,
    kernel,
  };
}

/** What lowerings ask for of a node, with its input and output where they are said to lie. */
export const convolutionOf = (
  p: Planner,
  node: Node<Conv2dAttrs>,
  x: () => Pixels,
  y: Pixels,
): Convolution => ({ ...layerOf(p, node), x, y });

/** A convolution as a product over an input that needs no edges. */
export interface Window {
  readonly x: Pixels;
  readonly inner: Parameters<typeof matmulPhase>[1]['inner'];
  /** The inner dimension as strides of the weight. */
  readonly order: InnerOrder;
}

/** Computes a convolution as a product. */
export function convolve(
  p: Planner,
  { weight, order, bias, residual, attrs, out, y }: Convolution,
  window: Window,
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

/** The input's pixels under the window's first tap, for each output pixel; the input is padded if need be. */
export function underWindow(
  p: Planner,
  { attrs, order: weight, kernel, y: { h, w } }: Convolution,
  x: Pixels,
  channels: number,
): Window {
  const { stride, dilation } = attrs;
  const padded = padPixels(p, x, attrs.padding, paddedExtents(attrs, kernel, { h, w }));
  const order = [
    { count: kernel[0], from: weight.row },
    { count: kernel[1], from: weight.column },
    { count: channels, from: weight.in },
  ];
  const joined = dilation[1] === 1 && padded.pixelStride === channels * FLOAT;
  const loops = [
    { count: kernel[0], stride: dilation[0] * padded.rowStride },
    ...(joined ? [] : [{ count: kernel[1], stride: dilation[1] * padded.pixelStride }]),
  ];
  return {
    inner: {
      loops: loops.filter(({ count }) => count > 1),
      run: joined ? kernel[1] * channels : channels,
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
