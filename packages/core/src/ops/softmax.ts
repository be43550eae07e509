/** Softmax and log-softmax over the classes, dimension 1. */
import { ShapeError } from '../errors.js';
import type { Node } from '../graph/graph.js';
import { logProbabilities } from '../tensor/scores.js';
import { formatShape, type Shape, sizeOf } from '../tensor/shape.js';
import { BACKWARD, defineOp, emit, type ReferenceCall } from './define.js';

/** Visits each distribution of a tensor: `classes` values at flat indices start, start + step, ... */
export function eachDistribution(
  shape: Shape,
  visit: (start: number, step: number, classes: number) => void,
): void {
  const step = sizeOf(shape.slice(2));
  const classes = shape[1]!;
  for (let outer = 0; outer < shape[0]!; outer++)
    for (let inner = 0; inner < step; inner++) visit(outer * classes * step + inner, step, classes);
}

function rowsShape([x]: readonly Shape[]): Shape {
  if (!x || x.length < 2) throw new ShapeError(`softmax expects n x classes, got ${formatShape(x ?? [])}`);
  return x;
}

const both = (
  { inputs: [x], output, shape }: ReferenceCall<object>,
  finish: (logProbability: number) => number,
): void =>
  eachDistribution(shape, (start, step, classes) => {
    for (const [c, value] of logProbabilities(x!, start, step, classes).entries())
      output[start + c * step] = finish(value);
  });

/** y = exp(x) / sum(exp(x)). */
export const softmaxOp = defineOp<object>({
  op: 'softmax',
  role: 'inference',
  layout: 'activations',
  perImage: false,
  shape: rowsShape,
  reference: (call) => both(call, Math.exp),
  gradient: (node, upstream) => [emit(softmaxGradOp, [upstream, node], {})],
  flops: (_, output) => 4 * sizeOf(output),
});

/** y = x - log(sum(exp(x))). */
export const logSoftmaxOp = defineOp<object>({
  op: 'logSoftmax',
  role: 'inference',
  layout: 'activations',
  perImage: false,
  shape: rowsShape,
  reference: (call) => both(call, (logProbability) => logProbability),
  gradient: (node, upstream) => [emit(logSoftmaxGradOp, [upstream, node], {})],
  flops: (_, output) => 4 * sizeOf(output),
});

/** dx = y * (dy - sum(dy * y)). Inputs: dy, y. */
export const softmaxGradOp = defineOp<object, 'training'>({
  op: 'softmaxGrad',
  role: 'training',
  layout: 'activations',
  shape: ([, y]) => y!,
  reference({ inputs: [dy, y], output, shape }) {
    eachDistribution(shape, (start, step, classes) => {
      let sum = 0;
      for (let at = start, c = 0; c < classes; c++, at += step) sum += dy![at]! * y![at]!;
      for (let at = start, c = 0; c < classes; c++, at += step) output[at] = y![at]! * (dy![at]! - sum);
    });
  },
  gradient: BACKWARD,
  flops: (_, output) => 4 * sizeOf(output),
});

/** dx = dy - exp(y) * sum(dy). Inputs: dy, y. */
export const logSoftmaxGradOp = defineOp<object, 'training'>({
  op: 'logSoftmaxGrad',
  role: 'training',
  layout: 'activations',
  shape: ([, y]) => y!,
  reference({ inputs: [dy, y], output, shape }) {
    eachDistribution(shape, (start, step, classes) => {
      let sum = 0;
      for (let at = start, c = 0; c < classes; c++, at += step) sum += dy![at]!;
      for (let at = start, c = 0; c < classes; c++, at += step)
        output[at] = dy![at]! - Math.exp(y![at]!) * sum;
    });
  },
  gradient: BACKWARD,
  flops: (_, output) => 4 * sizeOf(output),
});

/** Computes the softmax over dimension 1; n x classes x ... to the same shape. */
export const softmax = (x: Node): Node => emit(softmaxOp, [x], {});

/** Computes the log-softmax over dimension 1; n x classes x ... to the same shape. */
export const logSoftmax = (x: Node): Node => emit(logSoftmaxOp, [x], {});
