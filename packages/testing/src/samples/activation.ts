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
  { fn: 'hardSwish' },
  { fn: 'hardSigmoid' },
];

const shape = [2, 5, 3, 7];

export const activationSamples = {
  activation: everyActivation.map((attrs) => ({ name: attrs.fn, inputs: [{ shape, scale: 8 }], attrs })),
  activationGrad: everyActivation.map((attrs) => ({
    name: attrs.fn,
    inputs: [{ shape }, { shape, scale: 8 }],
    attrs,
  })),
} satisfies Partial<Samples>;
