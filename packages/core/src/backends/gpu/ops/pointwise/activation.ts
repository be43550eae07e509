/** Activations and their gradient. */
import type { Activation } from '../../../../ops/activation.js';
import { activated, activationOf, literal } from '../../kernels/javascript.js';
import { elementwise, type Lowering } from '../lowering.js';

/** y = f(x). */
export const lowerActivation: Lowering<Activation> = elementwise((activation, [x]) =>
  activated(activation, x!),
);

/** Writes statements that set `slope`, which is zero before, to the derivative at `x`. */
function setSlope(activation: Activation): string {
  const oneBetween = (low: number, high: number): string =>
    `if (x > ${literal(low)} && x < ${high}) { slope = 1.0; }`;
  const logistic = `const y = ${activationOf({ fn: 'sigmoid' }, 'x')};`;
  switch (activation.fn) {
    case 'relu':
      return 'if (x > 0) { slope = 1.0; }';
    case 'relu6':
      return oneBetween(0, 6);
    case 'leakyRelu':
      return `slope = ${literal(activation.slope)};\nif (x > 0) { slope = 1.0; }`;
    case 'sigmoid':
      return `${logistic}\nslope = y * (1 - y);`;
    case 'tanh':
      return `const y = ${activationOf({ fn: 'tanh' }, 'x')};\nslope = 1 - y * y;`;
    case 'silu':
      return `${logistic}\nslope = y * (1 + x * (1 - y));`;
    case 'hardSwish':
      return 'if (x >= -3) { slope = (2 * x + 3) / 6; }\nif (x >= 3) { slope = 1.0; }';
    case 'hardSigmoid':
      return `${oneBetween(-3, 3)}\nslope = slope / 6;`;
  }
}

/** dx = dy * f'(x). Inputs: dy, x. */
export const lowerActivationGrad: Lowering<Activation> = elementwise((activation, [dy, x]) => ({
  statements: `const x = ${x};\nlet slope = 0.0;\n${setSlope(activation)}`,
  value: `${dy} * slope`,
}));
