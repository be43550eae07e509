/** Max and average pooling over a sliding window, with PyTorch's rules for padding and hanging windows. */
import { ShapeError } from '../errors.js';
import type { Node } from '../graph/graph.js';
import { type Shape, sizeOf } from '../tensor/shape.js';
import { BACKWARD, defineOp, emit, pictureShape } from './define.js';
import { argmax, type Pair, pair, symmetric, type Window, windowOutput } from './window.js';

/** Attributes of max pooling. */
export interface MaxPoolAttrs extends Window {
  /** A last window may hang over the far edge. */
  readonly ceilMode: boolean;
}

/** Attributes of average pooling. */
export interface AvgPoolAttrs extends Window {
  readonly ceilMode: boolean;
  /** Whether padding counts in the divisor; what hangs beyond the padding never does. */
  readonly countIncludePad: boolean;
}

/** Every window must hold a pixel: PyTorch's limit on the padding sees to that, and with dilation the picture's size. */
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

/** Calls `visit` for each place of the window in each plane, with the flat indices of the pixels under it. */
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

/** y = the largest value under the window; NaN where there is one. */
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

/** dx of max pooling: each dy goes to the pixel that won. Inputs: dy, x. */
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

/** What a window's sum is divided by: its size, cut at the padded edge, or at the picture's own. */
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

/** y = the mean under the window. */
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

/** dx of average pooling: each dy is shared out evenly. Inputs: dy, x (for its shape). */
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
  /** Default: the window's size. */
  readonly stride?: Pair;
  /** Pixels at each edge that never win. Default 0. */
  readonly padding?: Pair;
  /** Default 1. */
  readonly dilation?: Pair;
  /** Whether a last window may hang over the far edge. Default false. */
  readonly ceilMode?: boolean;
}

/** Max pooling: n x c x h x w to n x c x h' x w'. */
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
  /** Default: the window's size. */
  readonly stride?: Pair;
  /** Zero pixels at each edge. Default 0. */
  readonly padding?: Pair;
  /** Whether a last window may hang over the far edge. Default false. */
  readonly ceilMode?: boolean;
  /** Whether padding counts in the divisor. Default true. */
  readonly countIncludePad?: boolean;
}

/** Average pooling: n x c x h x w to n x c x h' x w'. */
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
