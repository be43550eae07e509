/** Pooling to a given size, as PyTorch's adaptive pooling; global pooling is the 1x1 case. */
import { ShapeError } from '../errors.js';
import type { Node } from '../graph/graph.js';
import { type Shape, sizeOf } from '../tensor/shape.js';
import { BACKWARD, defineOp, emit, pictureShape } from './define.js';
import { argmax, type Pair, pair } from './window.js';

/** Attributes of adaptive pooling. */
export interface AdaptivePoolAttrs {
  /** Height and width of the result. */
  readonly size: readonly [number, number];
}

/**
 * Gives the range of rows (or columns) of output i: [floor(i * input / output), ceil((i + 1) * input /
 * output)).
 */
export const adaptiveRange = (
  index: number,
  input: number,
  output: number,
): readonly [from: number, to: number] => [
  Math.floor((index * input) / output),
  Math.ceil(((index + 1) * input) / output),
];

function adaptiveShape(op: string, x: Shape | undefined, { size }: AdaptivePoolAttrs): Shape {
  const [n, c] = pictureShape(op, x);
  if (size.some((extent) => !Number.isInteger(extent) || extent < 1))
    throw new ShapeError(`${op} needs an output of at least 1x1, got ${size.join('x')}`);
  return [n, c, ...size];
}

function eachShare(xs: Shape, ys: Shape, visit: (y: number, pixels: readonly number[]) => void): void {
  const [n, c, h, w] = pictureShape('pooling', xs);
  const [, , oh, ow] = pictureShape('pooling', ys);
  for (let plane = 0, y = 0; plane < n * c; plane++)
    for (let row = 0; row < oh; row++)
      for (let column = 0; column < ow; column++, y++) {
        const [top, bottom] = adaptiveRange(row, h, oh);
        const [left, right] = adaptiveRange(column, w, ow);
        const pixels: number[] = [];
        for (let i = top; i < bottom; i++)
          for (let j = left; j < right; j++) pixels.push((plane * h + i) * w + j);
        visit(y, pixels);
      }
}

/** y = the mean of each output's pixels. */
export const adaptiveAvgPoolOp = defineOp<AdaptivePoolAttrs>({
  op: 'adaptiveAvgPool',
  role: 'inference',
  layout: 'activations',
  perImage: true,
  shape: ([x], attrs) => adaptiveShape('adaptiveAvgPool', x, attrs),
  reference({ inputs: [x], shapes: [xs], output, shape }) {
    eachShare(xs!, shape, (y, pixels) => {
      for (const pixel of pixels) output[y]! += x![pixel]!;
      output[y]! /= pixels.length;
    });
  },
  gradient: (node, upstream) => [emit(adaptiveAvgPoolGradOp, [upstream, node.inputs[0]!], node.attrs)],
  flops: ([x]) => sizeOf(x!),
});

/** dx of adaptive average pooling. Inputs: dy, x (for its shape). */
export const adaptiveAvgPoolGradOp = defineOp<AdaptivePoolAttrs, 'training'>({
  op: 'adaptiveAvgPoolGrad',
  role: 'training',
  layout: 'activations',
  shape: ([, x]) => x!,
  reference({ inputs: [dy], shapes: [dys], output, shape }) {
    eachShare(shape, dys!, (y, pixels) => {
      for (const pixel of pixels) output[pixel]! += dy![y]! / pixels.length;
    });
  },
  gradient: BACKWARD,
  flops: (_, output) => sizeOf(output),
});

/** y = the largest value of each output's pixels. */
export const adaptiveMaxPoolOp = defineOp<AdaptivePoolAttrs>({
  op: 'adaptiveMaxPool',
  role: 'inference',
  layout: 'activations',
  perImage: true,
  exact: true,
  shape: ([x], attrs) => adaptiveShape('adaptiveMaxPool', x, attrs),
  reference({ inputs: [x], shapes: [xs], output, shape }) {
    eachShare(xs!, shape, (y, pixels) => {
      output[y] = x![argmax(x!, pixels)]!;
    });
  },
  gradient: (node, upstream) => [emit(adaptiveMaxPoolGradOp, [upstream, node.inputs[0]!], node.attrs)],
  flops: ([x]) => sizeOf(x!),
});

/** dx of adaptive max pooling. Inputs: dy, x. */
export const adaptiveMaxPoolGradOp = defineOp<AdaptivePoolAttrs, 'training'>({
  op: 'adaptiveMaxPoolGrad',
  role: 'training',
  layout: 'activations',
  shape: ([, x]) => x!,
  reference({ inputs: [dy, x], shapes: [dys], output, shape }) {
    eachShare(shape, dys!, (y, pixels) => {
      output[argmax(x!, pixels)]! += dy![y]!;
    });
  },
  gradient: BACKWARD,
  flops: (_, output) => sizeOf(output),
});

/** y[n, c] = mean of x over height and width. */
export const globalAvgPoolOp = defineOp<object>({
  op: 'globalAvgPool',
  role: 'inference',
  layout: 'activations',
  perImage: true,
  shape([x]) {
    const [n, c] = pictureShape('globalAvgPool', x);
    return [n, c];
  },
  reference({ inputs: [x], output }) {
    const plane = x!.length / output.length;
    for (let i = 0; i < x!.length; i++) output[Math.floor(i / plane)]! += x![i]! / plane;
  },
  gradient: (node, upstream) => [emit(globalAvgPoolGradOp, [upstream, node.inputs[0]!], {})],
  flops: ([x]) => sizeOf(x!),
});

/** dx of global average pooling: dy / (h w) everywhere. Inputs: dy (n x c), x (for its shape). */
export const globalAvgPoolGradOp = defineOp<object, 'training'>({
  op: 'globalAvgPoolGrad',
  role: 'training',
  layout: 'activations',
  shape: ([, x]) => x!,
  reference({ inputs: [dy], output }) {
    const plane = output.length / dy!.length;
    for (let i = 0; i < output.length; i++) output[i] = dy![Math.floor(i / plane)]! / plane;
  },
  gradient: BACKWARD,
  flops: (_, output) => sizeOf(output),
});

/**
 * Makes an average pooling to a given size (PyTorch's AdaptiveAvgPool2d): n x c x h x w to n x c x `size`.
 * @param size - height and width of the output; one number for a square.
 */
export const adaptiveAvgPool =
  (size: Pair) =>
  (x: Node): Node =>
    emit(adaptiveAvgPoolOp, [x], { size: pair(size) });

/**
 * Makes a max pooling to a given size (PyTorch's AdaptiveMaxPool2d): n x c x h x w to n x c x `size`.
 * @param size - height and width of the output; one number for a square.
 */
export const adaptiveMaxPool =
  (size: Pair) =>
  (x: Node): Node =>
    emit(adaptiveMaxPoolOp, [x], { size: pair(size) });

/** Averages over height and width: n x c x h x w to n x c. */
export const globalAvgPool = (x: Node): Node => emit(globalAvgPoolOp, [x], {});
