/** Samples of the activation functions. */
import type { Activation } from '@cnn/core';
import type { Samples } from './sample.js';

/** All activations. */
export const everyActivation: readonly Activation[] = [
  { fn: 'relu' },
  { fn: 'relu6' },
  { fn: 'leakyRelu', slope: 0.1 },
  { fn: 'sigmoid' },
  { fn: 'tanh' },
  { fn: 'silu' },
  { fn: 'gelu', approximate: 'none' },
  { fn: 'gelu', approximate: 'tanh' },
  { fn: 'hardSwish' },
  { fn: 'hardSigmoid' },
];

/** Returns the name of an activation in the names of cases. */
export const activationName = (activation: Activation): string =>
  activation.fn === 'gelu' ? `gelu ${activation.approximate}` : activation.fn;

const shape = [2, 5, 3, 7];

export const activationSamples = {
  activation: everyActivation.map((attrs) => ({
    name: activationName(attrs),
    inputs: [{ shape, scale: 8 }],
    attrs,
  })),
  activationGrad: everyActivation.map((attrs) => ({
    name: activationName(attrs),
    inputs: [{ shape }, { shape, scale: 8 }],
    attrs,
  })),
} satisfies Partial<Samples>;
