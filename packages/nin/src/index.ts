/** @cnn/nin: Network in Network for ImageNet and for CIFAR-10, and the form that an article prints (article.ts). */
import type { ModelEntry, Paper } from '@cnn/core';
import { type NinOptions, nin, ninCifar10 } from './nin.js';
import { weights } from './weights.js';

export { article } from './article.js';
export { type NinOptions, nin, ninCifar10 } from './nin.js';
export { renames } from './weights.js';

const paper: Paper = {
  title: 'Network in network',
  authors: 'M. Lin, Q. Chen, S. Yan',
  year: 2013,
  url: 'https://arxiv.org/abs/1312.4400',
};

/** The models of this family by their published names. */
export const models: Readonly<Record<'nin' | 'nin_cifar10', ModelEntry<NinOptions>>> = {
  nin: {
    name: 'nin',
    build: nin,
    input: [1, 3, 224, 224],
    minimum: 67,
    parameters: 7_439_608,
    macs: 965_572_864,
    paper,
    weights: weights.nin,
  },
  nin_cifar10: {
    name: 'nin_cifar10',
    build: ninCifar10,
    input: [1, 3, 32, 32],
    minimum: 4,
    parameters: 966_986,
    macs: 222_486_528,
    paper,
    weights: weights.nin_cifar10,
  },
};
