/** @cnn/lenet: LeNet-5 in today's form, in that of 1998, and the form that an article prints (article.ts). */
import type { ModelEntry, Paper } from '@cnn/core';
import { type LenetOptions, lenet5, lenet5Classic } from './lenet.js';
import { weights } from './weights.js';

export { article } from './article.js';
export { type LenetOptions, lenet5, lenet5Classic } from './lenet.js';
export { renames } from './weights.js';

const paper: Paper = {
  title: 'Gradient-based learning applied to document recognition',
  authors: 'Y. LeCun, L. Bottou, Y. Bengio, P. Haffner',
  year: 1998,
  url: 'http://vision.stanford.edu/cs598_spring07/papers/Lecun98.pdf',
};
const common = { paper, input: [1, 1, 32, 32], minimum: 32, parameters: 61_706, macs: 416_520 } as const;

/** The models of this family by their published names. */
export const models: Readonly<Record<'lenet5' | 'lenet5_classic', ModelEntry<LenetOptions>>> = {
  lenet5: { ...common, name: 'lenet5', build: lenet5, weights: weights.lenet5 },
  lenet5_classic: {
    ...common,
    name: 'lenet5_classic',
    build: lenet5Classic,
    weights: weights.lenet5_classic,
  },
};
