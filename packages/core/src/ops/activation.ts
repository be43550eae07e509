/**
 * Activation functions and their derivatives. One op has the function as its attribute, so that back ends
 * fuse all of them into the op before in the same way.
 */
import type { Node } from '../graph/graph.js';
import { type Activation, formulaOf } from '../pointwise/activations.js';
import { evaluate } from '../pointwise/evaluate.js';
import { input, mul } from '../pointwise/expression.js';
import { sizeOf } from '../tensor/shape.js';
import { BACKWARD, defineOp, emit, type Values } from './define.js';

export type { Activation };

/** Computes an activation function of each value of x, into y, which may be x. NaN gives NaN for all of them. */
export const activate = (activation: Activation, x: Values, y: Values): void =>
  evaluate(formulaOf(activation).value, { x }, y);

/**
 * Computes the values of an op that ends with an activation, if it has one, in float64.
 * @param compute - writes the values before the activation.
 */
export function activated(
  activation: Activation | undefined,
  output: Values,
  compute: (values: Values) => void,
): void {
  const values = activation ? new Float64Array(output.length) : output;
  compute(values);
  if (activation) activate(activation, values, output);
}

/** y = f(x), element by element; any shape. */
export const activationOp = defineOp<Activation>({
  op: 'activation',
  role: 'inference',
  layout: 'activations',
  perImage: true,
  inPlace: [0],
  shape: ([x]) => x!,
  reference: ({ inputs: [x], attrs, output }) => activate(attrs, x!, output),
  gradient: (node, upstream) => [
    emit(
      activationGradOp,
      [upstream, formulaOf(node.attrs).slopeAtOutput ? node : node.inputs[0]!],
      node.attrs,
    ),
  ],
  flops: (_, output) => sizeOf(output),
});

/** dx = dy * f'(x). Inputs: dy, x (or y, if the derivative there is the same). */
export const activationGradOp = defineOp<Activation, 'training'>({
  op: 'activationGrad',
  role: 'training',
  layout: 'activations',
  shape: ([upstream]) => upstream!,
  reference: ({ inputs: [dy, x], attrs, output }) =>
    evaluate(mul(input('dy'), formulaOf(attrs).slope), { dy: dy!, x: x! }, output),
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
/**
 * Makes a function that computes x times the share of the standard normal distribution below x (GELU,
 * https://arxiv.org/abs/1606.08415). Any shape.
 * @param approximate - 'none', which is exact, or 'tanh', the paper's approximation. Default 'none'.
 */
export const gelu = (approximate: 'none' | 'tanh' = 'none'): ((x: Node) => Node) =>
  apply({ fn: 'gelu', approximate });
/** Computes x * relu6(x + 3) / 6 (MobileNetV3, https://arxiv.org/abs/1905.02244). Any shape. */
export const hardSwish = apply({ fn: 'hardSwish' });
/** Computes relu6(x + 3) / 6 (MobileNetV3, https://arxiv.org/abs/1905.02244). Any shape. */
export const hardSigmoid = apply({ fn: 'hardSigmoid' });
