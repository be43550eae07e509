/** Fully connected layers: a hand-written shader where there is one, else one value per thread. */
import type { LinearAttrs } from '../../../../ops/linear.js';
import { activated, loop } from '../../kernels/javascript.js';
import { type Lowering, writeResult } from '../lowering.js';
import { linearGlsl } from './linearGlsl.js';
import { linearWgsl } from './linearWgsl.js';

/** y = activation(x w^T + b). */
export const lowerLinear: Lowering<LinearAttrs> = (context) =>
  context.plan.mode === 'webgpu' ? linearWgsl(context) : (linearGlsl(context) ?? linearByElement(context));

const linearByElement: Lowering<LinearAttrs> = (context) => {
  const { inputs, attrs, node } = context;
  const depth = node.inputs[1]!.shape[1]!;
  return writeResult(context, inputs, ([x, w, b], at) => {
    const [n, o] = at as [string, string];
    const product = `sum += ${x!([n, 'k'])} * ${w!([o, 'k'])};`;
    return activated(
      attrs.activation,
      b ? `sum + ${b([o])}` : 'sum',
      `let sum = 0.0;\n${loop('k', depth, product)}`,
    );
  });
};
