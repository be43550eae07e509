/** @cnn/alexnet: torchvision's AlexNet, the paper's of 2012, and the form that an article prints (article.ts). */
import type { ModelEntry, Paper } from '@cnn/core';
import { type AlexnetOptions, alexnet, alexnet2012 } from './alexnet.js';
import { weights } from './weights.js';

export { type AlexnetOptions, alexnet, alexnet2012 } from './alexnet.js';
export { article } from './article.js';
export { renames } from './weights.js';

const paper: Paper = {
  title: 'ImageNet classification with deep convolutional neural networks',
  authors: 'A. Krizhevsky, I. Sutskever, G. E. Hinton',
  year: 2012,
  url: 'https://papers.nips.cc/paper/4824',
};

/** The models of this family by their published names. */
export const models: Readonly<Record<'alexnet' | 'alexnet_2012', ModelEntry<AlexnetOptions>>> = {
  alexnet: {
    name: 'alexnet',
    build: alexnet,
    input: [1, 3, 224, 224],
    minimum: 63,
    parameters: 61_100_840,
    macs: 714_188_480,
    paper,
    weights: weights.alexnet,
  },
  alexnet_2012: {
    name: 'alexnet_2012',
    build: alexnet2012,
    input: [1, 3, 227, 227],
    minimum: 227,
    parameters: 60_965_224,
    macs: 724_406_816,
    paper,
    weights: weights.alexnet_2012,
  },
};
