/** Samples of batch norm, its statistics, gradients and folding, and of local response norm. */
import type { Shape } from '@cnn/core';
import { formatShape, type LocalResponseNormAttrs } from '@cnn/core/graph';
import { perChannel, positive, type Sample, type SampleInput, type Samples } from './sample.js';

/**
 * Makes a sample for each shape.
 * @param of - builds the inputs from x, values per channel, and variances per channel.
 */
const eachShape = <A extends object>(
  of: (x: SampleInput, channels: SampleInput, variance: SampleInput) => readonly SampleInput[],
  attrs: A,
): readonly Sample<A>[] =>
  perChannel.map((shape) => {
    const channels = [shape[1]!];
    return {
      name: formatShape(shape),
      inputs: of({ shape }, { shape: channels }, positive(channels)),
      attrs,
    };
  });

const eps = 1e-3;
const relu = { fn: 'relu' } as const;

/** Samples with the inputs x, weight, bias, mean and variance. */
const normalised = <A extends object>(attrs: A): readonly Sample<A>[] =>
  eachShape((x, c, variance) => [x, variance, c, c, variance], attrs);
const named = <A extends object>(samples: readonly Sample<A>[], suffix: string): readonly Sample<A>[] =>
  samples.map((sample) => ({ ...sample, name: `${sample.name}, ${suffix}` }));

const responses: readonly (readonly [name: string, shape: Shape, attrs: LocalResponseNormAttrs])[] = [
  ['paper', [1, 8, 3, 4], { size: 5, alpha: 1e-4, beta: 0.75, k: 2 }],
  ['strong', [2, 5, 3, 3], { size: 3, alpha: 0.5, beta: 0.5, k: 2 }],
  ['even', [1, 19, 2, 3], { size: 4, alpha: 0.3, beta: 0.75, k: 1 }],
];

const six: SampleInput = { shape: [6] };

export const normSamples = {
  batchNorm: [
    ...normalised({ eps, momentum: 0.1 }),
    ...named(normalised({ eps: 1e-5, momentum: 0.1, activation: relu }), 'relu'),
  ],
  batchNormTrain: [...normalised({ eps }), ...named(normalised({ eps, activation: relu }), 'relu')],
  channelMean: eachShape((x) => [{ ...x, offset: 1 }], {}),
  channelVariance: eachShape((x, c) => [x, c], {}),
  batchNormGradInput: eachShape((dy, c, variance) => [dy, c, variance], { eps }),
  batchNormGradWeight: eachShape((x, c, variance) => [x, x, c, variance], { eps }),
  batchNormTrainGradInput: eachShape((x, c, variance) => [x, x, c, c, variance, c, c], { eps }),
  runningAverage: [
    { name: 'average', inputs: [{ shape: [19] }, { shape: [19] }], attrs: { momentum: 0.1, scale: 1.25 } },
  ],
  foldedWeight: [{ name: 'conv', inputs: [{ shape: [6, 3, 2, 2] }, six, positive([6])], attrs: { eps } }],
  foldedBias: [
    { name: 'without own bias', inputs: [six, six, six, positive([6])], attrs: { eps } },
    { name: 'with own bias', inputs: [six, six, six, positive([6]), six], attrs: { eps } },
  ],
  localResponseNorm: responses.map(([name, shape, attrs]) => ({
    name,
    inputs: [{ shape, scale: 4 }],
    attrs,
  })),
  localResponseNormGrad: responses.map(([name, shape, attrs]) => ({
    name,
    inputs: [{ shape }, { shape, scale: 4 }],
    attrs,
  })),
} satisfies Partial<Samples>;
