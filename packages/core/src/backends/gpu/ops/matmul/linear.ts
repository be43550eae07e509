/** Fully connected layers and matrix products: one thread, one dot product. */
import type { LinearAttrs, MatmulAttrs } from '../../../../ops/linear.js';
import type { Value } from '../../plan/plan.js';
import { activated, finish, type Lower, loop } from '../lowering.js';
import { linearGlsl } from './linearGlsl.js';
import { linearWgsl } from './linearWgsl.js';

/** y = activation(x w^T + b): as a shader of its own where there is one, else element by element. */
export const lowerLinear: Lower<LinearAttrs> = (call) =>
  call.plan.mode === 'webgpu' ? linearWgsl(call) : (linearGlsl(call) ?? linearByElement(call));

const linearByElement: Lower<LinearAttrs> = (call) => {
  const { inputs, attrs, node } = call;
  const [x, w, ...bias] = inputs as [Value, Value, ...Value[]];
  const features = node.inputs[1]!.shape[1]!;
  return finish(call, [x, w, ...bias], ([readX, readW, readB], at) => {
    const [n, o] = at as [string, string];
    const product = `sum += ${readX!([n, 'k'])} * ${readW!([o, 'k'])};`;
    return activated(
      attrs.activation,
      readB ? `sum + ${readB([o])}` : 'sum',
      `let sum = 0.0;\n${loop('k', features, product)}`,
    );
  });
};

/** y = op(a) op(b). */
export const lowerMatmul: Lower<MatmulAttrs> = (call) => {
  const { transposeA, transposeB } = call.attrs;
  const inner = call.node.inputs[0]!.shape[transposeA ? 0 : 1]!;
  return finish(call, call.inputs, ([a, b], at) => {
    const [row, column] = at as [string, string];
    const product = `${a!(transposeA ? ['k', row] : [row, 'k'])} * ${b!(transposeB ? [column, 'k'] : ['k', column])}`;
    return { statements: `let sum = 0.0;\n${loop('k', inner, `sum += ${product};`)}`, value: 'sum' };
  });
};
