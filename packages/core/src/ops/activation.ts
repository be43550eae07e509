/**
 * Activation functions and their derivatives. One op has the function as its attribute, so that back ends
 * fuse all of them into the op before in the same way.
 */
import type { Node } from '../graph/graph.js';
import { sizeOf } from '../tensor/shape.js';
import { BACKWARD, defineOp, emit } from './define.js';

/** An activation function, as plain data. */
export type Activation =
  | { readonly fn: 'relu' | 'relu6' | 'sigmoid' | 'tanh' | 'silu' | 'hardSwish' | 'hardSigmoid' }
  | { readonly fn: 'leakyRelu'; readonly slope: number };

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));
const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);

/** Computes an activation function of x. NaN gives NaN for all of them. */
export function activate(activation: Activation, x: number): number {
  switch (activation.fn) {
    case 'relu':
      return Math.max(x, 0);
    case 'relu6':
      return clamp(x, 0, 6);
    case 'leakyRelu':
      return x < 0 ? x * activation.slope : x;
    case 'sigmoid':
      return logistic(x);
    case 'tanh':
      return Math.tanh(x);
    case 'silu':
      return x * logistic(x);
    case 'hardSwish':
      return (x * clamp(x + 3, 0, 6)) / 6;
    case 'hardSigmoid':
      return clamp(x + 3, 0, 6) / 6;
  }
}

/** Computes the derivative of an activation function at x; at a kink, PyTorch's value. */
export function activationSlope(activation: Activation, x: number): number {
  switch (activation.fn) {
    case 'relu':
      return x > 0 ? 1 : 0;
    case 'relu6':
      return x > 0 && x < 6 ? 1 : 0;
    case 'leakyRelu':
      return x > 0 ? 1 : activation.slope;
    case 'sigmoid': {
      const y = logistic(x);
      return y * (1 - y);
    }
    case 'tanh':
      return 1 - Math.tanh(x) ** 2;
    case 'silu': {
      const y = logistic(x);
      return y * (1 + x * (1 - y));
    }
    case 'hardSwish':
      return x < -3 ? 0 : x >= 3 ? 1 : (2 * x + 3) / 6;
    case 'hardSigmoid':
      return x > -3 && x < 3 ? 1 / 6 : 0;
  }
}

/**
 * True if the derivative at y = f(x) equals that at x. Then the gradient reads y, which the next layer reads
 * too, and x need not be kept: it can be overwritten, or never stored.
 */
const slopeAtOutput = (activation: Activation): boolean =>
  activation.fn === 'relu' ||
  activation.fn === 'relu6' ||
  (activation.fn === 'leakyRelu' && activation.slope >= 0);

/** y = f(x), element by element; any shape. */
export const activationOp = defineOp<Activation>({
  op: 'activation',
  role: 'inference',
  layout: 'activations',
  perImage: true,
  inPlace: [0],
  shape: ([x]) => x!,
  reference({ inputs: [x], attrs, output }) {
    for (let i = 0; i < output.length; i++) output[i] = activate(attrs, x![i]!);
  },
  gradient: (node, upstream) => [
    emit(activationGradOp, [upstream, slopeAtOutput(node.attrs) ? node : node.inputs[0]!], node.attrs),
  ],
  flops: (_, output) => sizeOf(output),
});

/** dx = dy * f'(x). Inputs: dy, x (or y, if the derivative there is the same). */
export const activationGradOp = defineOp<Activation, 'training'>({
  op: 'activationGrad',
  role: 'training',
  layout: 'activations',
  shape: ([upstream]) => upstream!,
  reference({ inputs: [upstream, x], attrs, output }) {
    for (let i = 0; i < output.length; i++) output[i] = upstream![i]! * activationSlope(attrs, x![i]!);
  },
  gradient: BACKWARD,
  flops: (_, output) => 2 * sizeOf(output),
});

const apply =
  (activation: Activation) =>
  (x: Node): Node =>
    emit(activationOp, [x], activation);

/** Computes max(x, 0). Any shape. */
export const relu = apply({ fn: 'relu' });
/** Computes min(max(x, 0), 6) (MobileNet, https://arxiv.org/abs/1704.04861). Any shape. */
export const relu6 = apply({ fn: 'relu6' });
/** Makes a function that computes x where it is positive, else `slope` * x. Default slope 0.01. Any shape. */
export const leakyRelu = (slope = 0.01): ((x: Node) => Node) => apply({ fn: 'leakyRelu', slope });
/** Computes 1 / (1 + exp(-x)). Any shape. */
export const sigmoid = apply({ fn: 'sigmoid' });
/** Computes the hyperbolic tangent. Any shape. */
export const tanh = apply({ fn: 'tanh' });
/** Computes x * sigmoid(x), also called swish (https://arxiv.org/abs/1702.03118). Any shape. */
export const silu = apply({ fn: 'silu' });
/** Computes x * relu6(x + 3) / 6 (MobileNetV3, https://arxiv.org/abs/1905.02244). Any shape. */
export const hardSwish = apply({ fn: 'hardSwish' });
/** Computes relu6(x + 3) / 6 (MobileNetV3, https://arxiv.org/abs/1905.02244). Any shape. */
export const hardSigmoid = apply({ fn: 'hardSigmoid' });
