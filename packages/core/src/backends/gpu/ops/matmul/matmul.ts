/** Matrix products, for the gradients of fully connected layers: a thread computes one element. */
import type { MatmulAttrs } from '../../../../ops/linear.js';
import { loop } from '../../kernels/javascript.js';
import { tuple } from '../../tuple.js';
import { type Lowering, writeResult } from '../lowering.js';

/** y = op(a) op(b), where op may transpose. */
export const lowerMatmul: Lowering<MatmulAttrs> = (context) => {
  const { transposeA, transposeB } = context.attrs;
  const depth = context.node.inputs[0]!.shape[transposeA ? 0 : 1]!;
  return writeResult(context, context.inputs, ([a, b], at) => {
    const [row, column] = tuple(at, 2);
    const product = `${a!(transposeA ? ['k', row] : [row, 'k'])} * ${b!(transposeB ? [column, 'k'] : ['k', column])}`;
    return { statements: `let sum = 0.0;\n${loop('k', depth, `sum += ${product};`)}`, value: 'sum' };
  });
};
