/** Sums and products of tensors. */
import type { AddAttrs } from '../../../../ops/arithmetic.js';
import { activated } from '../../kernels/javascript.js';
import { elementwise, type Lowering, writeResult } from '../lowering.js';

/** y = activation(a + b). */
export const lowerAdd: Lowering<AddAttrs> = elementwise(({ activation }, [a, b]) =>
  activated(activation, `${a} + ${b}`),
);

/** y = a * b. Axes of extent 1 of b are broadcast. */
export const lowerMul: Lowering = (context) => {
  const factor = context.node.inputs[1]!.shape;
  return writeResult(context, context.inputs, ([a, b], at) => ({
    value: `${a!(at)} * ${b!(at.map((coordinate, axis) => (factor[axis] === 1 ? '0' : coordinate)))}`,
  }));
};
