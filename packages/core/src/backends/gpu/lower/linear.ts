/** Fully connected layers and matrix products: one thread, one dot product. */
import type { LinearAttrs, MatmulAttrs } from '../../../ops/linear.js';
import type { PlanBuilder, Value } from '../plan.js';
import { activated, finish, type Lower, loop } from './lowering.js';

/** A constant matrix with rows and columns swapped, so that neighbouring threads read neighbouring values. */
function transposed(plan: PlanBuilder, { layout, origin }: Value): Value | undefined {
  if (origin.kind !== 'constant') return undefined;
  const [rows, columns] = layout.shape as unknown as readonly [number, number];
  const data = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) data[j * rows + i] = origin.data[i * columns + j]!;
  return plan.constant(data, [columns, rows]);
}

/** y = activation(x w^T + b). */
export const lowerLinear: Lower<LinearAttrs> = (call) => {
  const { inputs, attrs, node, plan } = call;
  const [x, w, ...bias] = inputs as [Value, Value, ...Value[]];
  const turned = transposed(plan, w);
  const features = node.inputs[1]!.shape[1]!;
  return finish(call, [x, turned ?? w, ...bias], ([readX, readW, readB], at) => {
    const [n, o] = at as [string, string];
    const product = `sum += ${readX!([n, 'k'])} * ${readW!(turned ? ['k', o] : [o, 'k'])};`;
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
