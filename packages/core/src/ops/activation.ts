/**
 * The activation functions and their slopes, as one table: one op with the function as its attribute,
 * so that back ends fuse any of them into the op before it by one mechanism.
 */
import type { Node } from '../graph/graph.js';
import { sizeOf } from '../tensor/shape.js';
import { BACKWARD, defineOp, emit } from './define.js';

/** An activation as plain data; `slope` belongs to `leakyRelu`. */
export type Activation =
  | { readonly fn: 'relu' | 'relu6' | 'sigmoid' | 'tanh' | 'silu' | 'hardSwish' | 'hardSigmoid' }
  | { readonly fn: 'leakyRelu'; readonly slope: number };

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));
const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);

/** The value of an activation. NaN stays NaN in all of them. */
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

/** The slope of an activation at x; at a kink the value PyTorch takes. */
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
 * Whether the slope at y = f(x) is the one at x. Then the gradient reads y, which the next layer reads too, and
 * nothing needs x: it can be overwritten, or never be stored.
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

/** dx = dy * f'(x). Inputs: dy, x (or y, where the slope there is the same). */
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

/** max(x, 0). Any shape. */
export const relu = apply({ fn: 'relu' });
/** min(max(x, 0), 6) (MobileNet, https://arxiv.org/abs/1704.04861). Any shape. */
export const relu6 = apply({ fn: 'relu6' });
/** x where positive, `slope` times x elsewhere. Default slope 0.01. */
export const leakyRelu = (slope = 0.01): ((x: Node) => Node) => apply({ fn: 'leakyRelu', slope });
/** 1 / (1 + exp(-x)). Any shape. */
export const sigmoid = apply({ fn: 'sigmoid' });
/** The hyperbolic tangent. Any shape. */
export const tanh = apply({ fn: 'tanh' });
/** x * sigmoid(x), also called swish (https://arxiv.org/abs/1702.03118). Any shape. */
export const silu = apply({ fn: 'silu' });
/** x * relu6(x + 3) / 6 (MobileNetV3, https://arxiv.org/abs/1905.02244). Any shape. */
export const hardSwish = apply({ fn: 'hardSwish' });
/** relu6(x + 3) / 6 (MobileNetV3, https://arxiv.org/abs/1905.02244). Any shape. */
export const hardSigmoid = apply({ fn: 'hardSigmoid' });
