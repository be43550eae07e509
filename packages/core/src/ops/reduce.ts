/** Sums over some of the dimensions, for the gradients of biases, batch norm and broadcasts. */
import { ShapeError } from '../errors.js';
import { formatShape, type Shape, sizeOf } from '../tensor/shape.js';
import { BACKWARD, defineOp } from './define.js';

/** Makes a function that gives the channel (index along dimension 1) of the element at a flat index. */
export const channelOf = (shape: Shape): ((index: number) => number) => {
  const plane = sizeOf(shape.slice(2));
  return (index) => Math.floor(index / plane) % shape[1]!;
};

/** y[c] = sum of x over all dimensions but the channel: the gradient of a bias. */
export const channelSumOp = defineOp<object, 'training'>({
  op: 'channelSum',
  role: 'training',
  layout: 'activations',
  shape([x]) {
    if (!x || x.length < 2)
      throw new ShapeError(`channelSum expects n x c x ..., got ${formatShape(x ?? [])}`);
    return [x[1]!];
  },
  reference({ inputs: [x], shapes: [xs], output }) {
    const channel = channelOf(xs!);
    for (let i = 0; i < x!.length; i++) output[channel(i)]! += x![i]!;
  },
  gradient: BACKWARD,
  flops: ([x]) => sizeOf(x!),
});

/** Attributes of `sumTo`. */
export interface SumToAttrs {
  /** Shape of the result: each extent is the input's or 1. */
  readonly shape: Shape;
}

/** True if each extent of `small` is that of `large` or 1. */
export const broadcastsTo = (small: Shape, large: Shape): boolean =>
  small.length === large.length && small.every((extent, i) => extent === 1 || extent === large[i]);

/**
 * Makes a function that maps a flat index into `large` to one into `small`, which is broadcast to `large`.
 */
export function broadcastIndex(small: Shape, large: Shape): (index: number) => number {
  const strides: number[] = [];
  for (let axis = small.length - 1, stride = 1; axis >= 0; axis--) {
    strides[axis] = small[axis] === 1 ? 0 : stride;
    stride *= small[axis]!;
  }
  return (index) => {
    let rest = index;
    let result = 0;
    for (let axis = large.length - 1; axis >= 0; axis--) {
      result += (rest % large[axis]!) * strides[axis]!;
      rest = Math.floor(rest / large[axis]!);
    }
    return result;
  };
}

/** y = sum of x over the dimensions whose extent is 1 in the result: the gradient of a broadcast. */
export const sumToOp = defineOp<SumToAttrs, 'training'>({
  op: 'sumTo',
  role: 'training',
  layout: 'activations',
  shape([x], { shape }) {
    if (!broadcastsTo(shape, x!))
      throw new ShapeError(
        `cannot sum ${formatShape(x!)} to ${formatShape(shape)}: extents must be equal or 1`,
      );
    return shape;
  },
  reference({ inputs: [x], shapes: [xs], output, shape }) {
    const to = broadcastIndex(shape, xs!);
    for (let i = 0; i < x!.length; i++) output[to(i)]! += x![i]!;
  },
  gradient: BACKWARD,
  flops: ([x]) => sizeOf(x!),
});
