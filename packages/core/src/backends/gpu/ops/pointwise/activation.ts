/** Activations and their gradient. */
import type { Activation } from '../../../../ops/activation.js';
import { formulaOf } from '../../../../pointwise/activations.js';
import { input, mul } from '../../../../pointwise/expression.js';
import { activated, pointwise } from '../../kernels/javascript.js';
import { elementwise, type Lowering } from '../lowering.js';

/** y = f(x). */
export const lowerActivation: Lowering<Activation> = elementwise((activation, [x]) =>
  activated(activation, x!),
);

/** dx = dy * f'(x). Inputs: dy, x. */
export const lowerActivationGrad: Lowering<Activation> = elementwise((activation, [dy, x]) =>
  pointwise(mul(input('dy'), formulaOf(activation).slope), { dy: dy!, x: x! }),
);
