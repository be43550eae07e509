/** Max and average pooling over a sliding window, with PyTorch's rules for padding and `ceil_mode`. */
import { ShapeError } from '../errors.js';
import type { Node } from '../graph/graph.js';
import { type Shape, sizeOf } from '../tensor/shape.js';
import { BACKWARD, defineOp, emit, pictureShape } from './define.js';
import { argmax, type Pair, pair, symmetric, type Window, windowOutput } from './window.js';

/** Attributes of max pooling. */
export interface MaxPoolAttrs extends Window {
  /** PyTorch's `ceil_mode`: the last window may extend beyond the bottom and right padding. */
  readonly ceilMode: boolean;
}

/** Attributes of average pooling. */
export interface AvgPoolAttrs extends Window {
  /** PyTorch's `ceil_mode`: the last window may extend beyond the bottom and right padding. */
  readonly ceilMode: boolean;
  /** True if padding counts in the divisor; pixels beyond the padding never do. */
  readonly countIncludePad: boolean;
}

/**
 * Computes the output shape. Requires that every window contains a pixel: PyTorch's limit on the padding
 * ensures it, and with dilation the size of the input.
 */
function poolShape(op: string, x: Shape | undefined, attrs: MaxPoolAttrs | AvgPoolAttrs): Shape {
  const [n, c, h, w] = pictureShape(op, x);
  const { kernel, dilation, padding } = attrs;
  for (const [edge, pixels] of padding.entries()) {
    const reach = (kernel[edge % 2]! - 1) * dilation[edge % 2]! + 1;
    if (pixels > reach / 2 || (pixels > 0 && [h, w][edge % 2]! < dilation[edge % 2]!))
      throw new ShapeError(
        `${op} with a ${kernel.join('x')} window takes at most half a window of padding, got ${padding.join(', ')} around ${h}x${w} pixels`,
      );
  }
  return [n, c, ...windowOutput(op, [h, w], attrs, attrs.ceilMode)];
}

/** Visits each position of the window in each plane, with the flat indices of the pixels in it. */
function eachWindow(
  xs: Shape,
  ys: Shape,
  { kernel, stride, padding, dilation }: Window,
  visit: (y: number, pixels: readonly number[], row: number, column: number) => void,
): void {
  const [n, c, h, w] = pictureShape('pooling', xs);
  const [, , oh, ow] = pictureShape('pooling', ys);
  for (let plane = 0, y = 0; plane < n * c; plane++)
    for (let row = 0; row < oh; row++)
      for (let column = 0; column < ow; column++, y++) {
        const pixels: number[] = [];
        for (let ky = 0; ky < kernel[0]; ky++)
          for (let kx = 0; kx < kernel[1]; kx++) {
            const sourceRow = row * stride[0] + ky * dilation[0] - padding[0];
            const sourceColumn = column * stride[1] + kx * dilation[1] - padding[1];
            if (sourceRow >= 0 && sourceRow < h && sourceColumn >= 0 && sourceColumn < w)
              pixels.push((plane * h + sourceRow) * w + sourceColumn);
          }
        visit(y, pixels, row, column);
      }
}

const windowFlops = (output: Shape, { kernel }: Window): number => sizeOf(output) * kernel[0] * kernel[1];

/** y = the largest value in the window; NaN if it contains one. */
export const maxPoolOp = defineOp<MaxPoolAttrs>({
  op: 'maxPool',
  role: 'inference',
  layout: 'activations',
  perImage: true,
  exact: true,
  shape: ([x], attrs) => poolShape('maxPool', x, attrs),
  reference({ inputs: [x], shapes: [xs], attrs, output, shape }) {
    eachWindow(xs!, shape, attrs, (y, pixels) => {
      output[y] = x![argmax(x!, pixels)]!;
    });
  },
  gradient: (node, upstream) => [emit(maxPoolGradOp, [upstream, node.inputs[0]!], node.attrs)],
  flops: (_, output, attrs) => windowFlops(output, attrs),
});

/** dx of max pooling: each dy goes to the pixel that was the largest. Inputs: dy, x. */
export const maxPoolGradOp = defineOp<MaxPoolAttrs, 'training'>({
  op: 'maxPoolGrad',
  role: 'training',
  layout: 'activations',
  shape: ([, x]) => x!,
  reference({ inputs: [dy, x], shapes: [dys], attrs, output, shape }) {
    eachWindow(shape, dys!, attrs, (y, pixels) => {
      output[argmax(x!, pixels)]! += dy![y]!;
    });
  },
  gradient: BACKWARD,
  flops: ([dy], _, attrs) => windowFlops(dy!, attrs),
});

/**
 * Computes the divisor of a window's sum: its number of pixels within the padding, or within the input only.
 */
function divisor(
  { kernel, stride, padding, countIncludePad }: AvgPoolAttrs,
  [, , h, w]: Shape,
  inside: number,
  row: number,
  column: number,
): number {
  if (!countIncludePad) return inside;
  const top = row * stride[0] - padding[0];
  const left = column * stride[1] - padding[1];
  return (
    (Math.min(top + kernel[0], h! + padding[2]) - top) * (Math.min(left + kernel[1], w! + padding[3]) - left)
  );
}

/** y = the mean of the window. */
export const avgPoolOp = defineOp<AvgPoolAttrs>({
  op: 'avgPool',
  role: 'inference',
  layout: 'activations',
  perImage: true,
  shape: ([x], attrs) => poolShape('avgPool', x, attrs),
  reference({ inputs: [x], shapes: [xs], attrs, output, shape }) {
    eachWindow(xs!, shape, attrs, (y, pixels, row, column) => {
      let sum = 0;
      for (const pixel of pixels) sum += x![pixel]!;
      output[y] = sum / divisor(attrs, xs!, pixels.length, row, column);
    });
  },
  gradient: (node, upstream) => [emit(avgPoolGradOp, [upstream, node.inputs[0]!], node.attrs)],
  flops: (_, output, attrs) => windowFlops(output, attrs),
});

/** dx of average pooling: each dy is distributed evenly over its window. Inputs: dy, x (for its shape). */
export const avgPoolGradOp = defineOp<AvgPoolAttrs, 'training'>({
  op: 'avgPoolGrad',
  role: 'training',
  layout: 'activations',
  shape: ([, x]) => x!,
  reference({ inputs: [dy], shapes: [dys], attrs, output, shape }) {
    eachWindow(shape, dys!, attrs, (y, pixels, row, column) => {
      const share = dy![y]! / divisor(attrs, shape, pixels.length, row, column);
      for (const pixel of pixels) output[pixel]! += share;
    });
  },
  gradient: BACKWARD,
  flops: ([dy], _, attrs) => windowFlops(dy!, attrs),
});

/** Options of {@link maxPool}. */
export interface MaxPoolOptions {
  /** Step of the window in pixels. Default: the window's size. */
  readonly stride?: Pair;
  /** Padding of each edge with -Infinity, in pixels; at most half a window. Default 0. */
  readonly padding?: Pair;
  /** Distance between neighbouring taps of the window in pixels. Default 1. */
  readonly dilation?: Pair;
  /** PyTorch's `ceil_mode`: the last window may extend beyond the bottom and right padding. Default false. */
  readonly ceilMode?: boolean;
}

/**
 * Makes a max pooling (PyTorch's MaxPool2d): n x c x h x w to n x c x h' x w', with h' as for `conv2d`,
 * rounded up with `ceilMode`.
 * @param kernel - height and width of the window in pixels; one number for a square.
 */
export const maxPool =
  (kernel: Pair, { stride = kernel, padding = 0, dilation = 1, ceilMode = false }: MaxPoolOptions = {}) =>
  (x: Node): Node =>
    emit(maxPoolOp, [x], {
      kernel: pair(kernel),
      stride: pair(stride),
      padding: symmetric(padding),
      dilation: pair(dilation),
      ceilMode,
    });

/** Options of {@link avgPool}. */
export interface AvgPoolOptions {
  /** Step of the window in pixels. Default: the window's size. */
  readonly stride?: Pair;
  /** Zero padding of each edge in pixels; at most half a window. Default 0. */
  readonly padding?: Pair;
  /** PyTorch's `ceil_mode`: the last window may extend beyond the bottom and right padding. Default false. */
  readonly ceilMode?: boolean;
  /** Counts padding in the divisor of the mean. Default true. */
  readonly countIncludePad?: boolean;
}

/**
 * Makes an average pooling (PyTorch's AvgPool2d): n x c x h x w to n x c x h' x w', with h' as for `maxPool`.
 * @param kernel - height and width of the window in pixels; one number for a square.
 */
export const avgPool =
  (
    kernel: Pair,
    { stride = kernel, padding = 0, ceilMode = false, countIncludePad = true }: AvgPoolOptions = {},
  ) =>
  (x: Node): Node =>
    emit(avgPoolOp, [x], {
      kernel: pair(kernel),
      stride: pair(stride),
      padding: symmetric(padding),
      dilation: pair(1),
      ceilMode,
      countIncludePad,
    });
