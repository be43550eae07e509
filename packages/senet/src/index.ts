/** @cnn/senet: SE-ResNets, and the form that an article prints (article.ts). */
import type { ModelEntry, Paper } from '@cnn/core';
import {
  type SenetOptions,
  seResnet50Cadene,
  seresnet18,
  seresnet34,
  seresnet50,
  seresnet101,
  seresnet152,
} from './senet.js';
import { weights } from './weights.js';

export { article } from './article.js';
export * from './senet.js';
export { renames } from './weights.js';

const paper: Paper = {
  title: 'Squeeze-and-excitation networks',
  authors: 'J. Hu, L. Shen, S. Albanie, G. Sun, E. Wu',
  year: 2017,
  url: 'https://arxiv.org/abs/1709.01507',
};

const entry = (
  name: keyof typeof weights,
  build: ModelEntry<SenetOptions>['build'],
  parameters: number,
  macs: number,
  minimum = 1,
) => ({ name, build, input: [1, 3, 224, 224], minimum, parameters, macs, paper, weights: weights[name] });

/** The models of this family by their published names. */
export const models: Readonly<Record<keyof typeof weights, ModelEntry<SenetOptions>>> = {
  seresnet18: entry('seresnet18', seresnet18, 11_778_592, 1_814_160_384),
  seresnet34: entry('seresnet34', seresnet34, 21_958_868, 3_663_918_592),
  seresnet50: entry('seresnet50', seresnet50, 28_088_024, 4_091_699_200),
  seresnet101: entry('seresnet101', seresnet101, 49_326_872, 7_806_148_608),
  seresnet152: entry('seresnet152', seresnet152, 66_821_848, 11_520_204_800),
  se_resnet50_cadene: entry('se_resnet50_cadene', seResnet50Cadene, 28_088_024, 3_860_488_192, 3),
};
