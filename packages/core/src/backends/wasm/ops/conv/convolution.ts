/** Description of a convolution that all of its lowerings work with. */
import type { Node } from '../../../../graph/graph.js';
import type { Conv2dAttrs } from '../../../../ops/conv2d.js';
import type { Pixels } from '../../memory/layout.js';
import type { LoweringContext } from '../../schedule/context.js';
import { weightStrides } from '../data/pack.js';

/** Offset of a weight's first value, and strides along its dimensions, in floats. Strides may be negative. */
export interface WeightOrder {
  readonly start: number;
  readonly group: number;
  /** From one output channel of a group to the next. */
  readonly out: number;
  /** From one input channel of a group to the next. */
  readonly in: number;
  readonly row: number;
  readonly column: number;
}

/** A convolution, without the addresses of its input and output. */
export interface ConvolutionLayer {
  readonly attrs: Omit<Conv2dAttrs, 'residual'>;
  readonly weight: Node;
  readonly order: WeightOrder;
  readonly bias?: Node;
  readonly residual?: Node;
  /** Input channels of all groups. */
  readonly channels: number;
  /** Output channels of all groups. */
  readonly out: number;
  /** Height and width of the window. */
  readonly kernel: readonly [number, number];
}

/**
 * A convolution with its input and output. The input gradient of a convolution is one too: it reads the same
 * weight in another order.
 */
export interface Convolution extends ConvolutionLayer {
  /** Returns the input as NHWC, converted if the host gave it in another layout. */
  readonly x: () => Pixels;
  readonly y: Pixels;
}

/** Describes the convolution of a node. */
export function layerOf(p: LoweringContext, node: Node<Conv2dAttrs>): ConvolutionLayer {
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

/** Describes the convolution of a node with the given input and output. */
export const convolutionOf = (
  p: LoweringContext,
  node: Node<Conv2dAttrs>,
  x: () => Pixels,
  y: Pixels,
): Convolution => ({ ...layerOf(p, node), x, y });
