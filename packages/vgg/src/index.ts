/** @cnn/vgg: VGG-11, 13, 16 and 19, each with and without batch norm, and the form that an article prints (article.ts). */
import type { ModelEntry, Paper } from '@cnn/core';
import { type VggOptions, vgg11, vgg11Bn, vgg13, vgg13Bn, vgg16, vgg16Bn, vgg19, vgg19Bn } from './vgg.js';
import { weights } from './weights.js';

export { article } from './article.js';
export { type VggOptions, vgg11, vgg11Bn, vgg13, vgg13Bn, vgg16, vgg16Bn, vgg19, vgg19Bn } from './vgg.js';
export { renames } from './weights.js';

const paper: Paper = {
  title: 'Very deep convolutional networks for large-scale image recognition',
  authors: 'K. Simonyan, A. Zisserman',
  year: 2014,
  url: 'https://arxiv.org/abs/1409.1556',
};

const entry = <const Name extends keyof typeof weights>(
  name: Name,
  build: ModelEntry<VggOptions>['build'],
  parameters: number,
  macs: number,
) => ({ name, build, input: [1, 3, 224, 224], minimum: 32, parameters, macs, paper, weights: weights[name] });

/** The models of this family by their published names. */
export const models: Readonly<Record<keyof typeof weights, ModelEntry<VggOptions>>> = {
  vgg11: entry('vgg11', vgg11, 132_863_336, 7_609_090_048),
  vgg13: entry('vgg13', vgg13, 133_047_848, 11_308_466_176),
  vgg16: entry('vgg16', vgg16, 138_357_544, 15_470_264_320),
  vgg19: entry('vgg19', vgg19, 143_667_240, 19_632_062_464),
  vgg11_bn: entry('vgg11_bn', vgg11Bn, 132_868_840, 7_609_090_048),
  vgg13_bn: entry('vgg13_bn', vgg13Bn, 133_053_736, 11_308_466_176),
  vgg16_bn: entry('vgg16_bn', vgg16Bn, 138_365_992, 15_470_264_320),
  vgg19_bn: entry('vgg19_bn', vgg19Bn, 143_678_248, 19_632_062_464),
};
