/** Samples of the classification losses, softmax and log-softmax. */
import type { Shape } from '@cnn/core';
import { formatShape } from '@cnn/core/graph';
import { positive, type Sample, type SampleInput, type Samples } from './sample.js';

/** Five rows of seven classes, and a label for each. */
const logits: SampleInput = { shape: [5, 7], scale: 4 };
const labels: SampleInput = { shape: [5], values: Array.from({ length: 5 }, (_, i) => (i * 7 + 3) % 7) };

const crossEntropy = (['mean', 'sum', 'none'] as const).flatMap((reduction) =>
  [0, 0.1].flatMap((labelSmoothing) =>
    [false, true].map((weighted) => ({
      name: `${reduction}, smoothing ${labelSmoothing}${weighted ? ', weighted' : ''}`,
      inputs: [logits, labels, ...(weighted ? [positive([7])] : [])],
      attrs: { reduction, labelSmoothing },
    })),
  ),
);
const nllLoss = crossEntropy
  .filter(({ attrs }) => attrs.labelSmoothing === 0)
  .map(({ name, inputs, attrs: { reduction } }) => ({ name, inputs, attrs: { reduction } }));

/** Prepends the gradient of the result to the inputs of each sample. */
const withUpstream = <A extends { readonly reduction: string }>(
  samples: readonly Sample<A>[],
): readonly Sample<A>[] =>
  samples.map(({ name, inputs, attrs }) => ({
    name,
    inputs: [{ shape: attrs.reduction === 'none' ? [5] : [] }, ...inputs],
    attrs,
  }));

const distributions: readonly Shape[] = [
  [2, 5],
  [3, 19],
  [1, 1000],
  [2, 4, 3, 3],
];
const softmax = distributions.map((shape) => ({
  name: formatShape(shape),
  inputs: [{ shape, scale: 10 }],
  attrs: {},
}));

export const lossSamples = {
  crossEntropy,
  crossEntropyGrad: withUpstream(crossEntropy),
  nllLoss,
  nllLossGrad: withUpstream(nllLoss),
  softmax,
  softmaxGrad: distributions.map((shape) => ({
    name: formatShape(shape),
    inputs: [{ shape }, { shape }],
    attrs: {},
  })),
  logSoftmax: softmax,
  logSoftmaxGrad: distributions.map((shape) => ({
    name: formatShape(shape),
    inputs: [{ shape }, { shape, offset: -2 }],
    attrs: {},
  })),
} satisfies Partial<Samples>;
