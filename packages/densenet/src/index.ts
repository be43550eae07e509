/** @cnn/densenet: DenseNet-121, 161, 169 and 201, DenseNet-BC for CIFAR, and the form that an article prints (article.ts). */
import type { ModelEntry, Paper } from '@cnn/core';
import {
  type DensenetBcOptions,
  type DensenetOptions,
  densenet121,
  densenet161,
  densenet169,
  densenet201,
  densenetBc,
} from './densenet.js';
import { weights } from './weights.js';

export { article } from './article.js';
export * from './densenet.js';
export { renames } from './weights.js';

const paper: Paper = {
  title: 'Densely connected convolutional networks',
  authors: 'G. Huang, Z. Liu, L. van der Maaten, K. Q. Weinberger',
  year: 2016,
  url: 'https://arxiv.org/abs/1608.06993',
};

const entry = <const Name extends keyof typeof weights>(
  name: Name,
  build: ModelEntry<DensenetOptions>['build'],
  parameters: number,
  macs: number,
) => ({ name, build, input: [1, 3, 224, 224], minimum: 29, parameters, macs, paper, weights: weights[name] });

/** The models of this family by their published names. */
export const models: Readonly<
  Record<keyof typeof weights, ModelEntry<DensenetOptions>> &
    Record<'densenet_bc', ModelEntry<DensenetBcOptions>>
> = {
  densenet121: entry('densenet121', densenet121, 7_978_856, 2_834_161_664),
  densenet161: entry('densenet161', densenet161, 28_681_000, 7_727_907_072),
  densenet169: entry('densenet169', densenet169, 14_149_480, 3_359_843_328),
  densenet201: entry('densenet201', densenet201, 20_013_928, 4_291_365_888),
  densenet_bc: {
    name: 'densenet_bc',
    build: densenetBc,
    input: [1, 3, 32, 32],
    minimum: 4,
    parameters: 769_162,
    macs: 287_929_692,
    paper,
    weights: {},
  },
};
