/** Samples of the optimizers' steps. */
import { positive, type SampleInput, type Samples } from './sample.js';

const value: SampleInput = { shape: [3, 19] };
const average = positive([3, 19]);

/** Inputs: parameter, direction, average of squares, learning rate and corrections. */
const adaptive: readonly SampleInput[] = [
  value,
  value,
  average,
  { shape: [1], values: [0.01] },
  { shape: [2], values: [0.1, 0.002] },
];

export const optimizerSamples = {
  linearCombination: [{ name: 'momentum', inputs: [value, value], attrs: { a: 0.9, b: 1 } }],
  squareAverage: [{ name: 'adam', inputs: [average, value], attrs: { a: 0.999, b: 0.001 } }],
  descend: [
    { name: 'sgd', inputs: [value, value, { shape: [2], values: [0.1, 0.01] }], attrs: { index: 1 } },
  ],
  adaptiveDescend: [
    { name: 'adam', inputs: adaptive, attrs: { index: 0, eps: 1e-8, decay: 0 } },
    { name: 'adamW', inputs: adaptive, attrs: { index: 0, eps: 1e-8, decay: 0.1 } },
  ],
  sumOfSquares: [
    { name: 'rows', inputs: [value], attrs: {} },
    { name: 'picture', inputs: [{ shape: [2, 5, 3, 3] }], attrs: {} },
  ],
  clipByNorm: [
    { name: 'clipped', inputs: [value, { shape: [1], values: [9] }], attrs: { maxNorm: 1 } },
    { name: 'as it is', inputs: [value, { shape: [1], values: [0.25] }], attrs: { maxNorm: 1 } },
  ],
} satisfies Partial<Samples>;
