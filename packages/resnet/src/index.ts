/** @cnn/resnet: ResNet, ResNeXt, Wide ResNet, the CIFAR forms, and the forms that an article prints (article.ts). */
import type { ModelEntry, Paper, WeightsRecord } from '@cnn/core';
import {
  type ResnetOptions,
  resnet18,
  resnet34,
  resnet50,
  resnet101,
  resnet152,
  resnext50_32x4d,
  resnext101_32x8d,
  wideResnet50_2,
  wideResnet101_2,
} from './resnet.js';
import { type ResnetCifarOptions, resnet20, resnet32, resnet44, resnet56, resnet110 } from './resnetCifar.js';
import { weights } from './weights.js';

export { article } from './article.js';
export * from './resnet.js';
export * from './resnetCifar.js';
export { renames } from './weights.js';

const resnetPaper: Paper = {
  title: 'Deep residual learning for image recognition',
  authors: 'K. He, X. Zhang, S. Ren, J. Sun',
  year: 2015,
  url: 'https://arxiv.org/abs/1512.03385',
};
const resnextPaper: Paper = {
  title: 'Aggregated residual transformations for deep neural networks',
  authors: 'S. Xie, R. Girshick, P. Dollár, Z. Tu, K. He',
  year: 2016,
  url: 'https://arxiv.org/abs/1611.05431',
};
const widePaper: Paper = {
  title: 'Wide residual networks',
  authors: 'S. Zagoruyko, N. Komodakis',
  year: 2016,
  url: 'https://arxiv.org/abs/1605.07146',
};

const entry = <const Name extends keyof typeof weights>(
  name: Name,
  build: ModelEntry<ResnetOptions>['build'],
  parameters: number,
  macs: number,
  paper = resnetPaper,
) => ({
  name,
  build,
  input: [1, 3, 224, 224],
  minimum: 1,
  parameters,
  macs,
  paper,
  weights: weights[name] as Readonly<Record<string, WeightsRecord>>,
});

const cifarEntry = (
  name: string,
  build: ModelEntry<ResnetCifarOptions>['build'],
  parameters: number,
  macs: number,
) => ({
  name,
  build,
  input: [1, 3, 32, 32],
  minimum: 1,
  parameters,
  macs,
  paper: resnetPaper,
  weights: {},
});

type CifarName = 'resnet20' | 'resnet32' | 'resnet44' | 'resnet56' | 'resnet110';

/** The models of this family by their published names. */
export const models: Readonly<
  Record<keyof typeof weights, ModelEntry<ResnetOptions>> & Record<CifarName, ModelEntry<ResnetCifarOptions>>
> = {
  resnet18: entry('resnet18', resnet18, 11_689_512, 1_814_073_344),
  resnet34: entry('resnet34', resnet34, 21_797_672, 3_663_761_408),
  resnet50: entry('resnet50', resnet50, 25_557_032, 4_089_184_256),
  resnet101: entry('resnet101', resnet101, 44_549_160, 7_801_405_440),
  resnet152: entry('resnet152', resnet152, 60_192_808, 11_513_626_624),
  resnext50_32x4d: entry('resnext50_32x4d', resnext50_32x4d, 25_028_904, 4_230_479_872, resnextPaper),
  resnext101_32x8d: entry('resnext101_32x8d', resnext101_32x8d, 88_791_336, 16_414_015_488, resnextPaper),
  wide_resnet50_2: entry('wide_resnet50_2', wideResnet50_2, 68_883_240, 11_398_021_120, widePaper),
  wide_resnet101_2: entry('wide_resnet101_2', wideResnet101_2, 126_886_696, 22_753_050_624, widePaper),
  resnet20: cifarEntry('resnet20', resnet20, 269_722, 40_551_040),
  resnet32: cifarEntry('resnet32', resnet32, 464_154, 68_862_592),
  resnet44: cifarEntry('resnet44', resnet44, 658_586, 97_174_144),
  resnet56: cifarEntry('resnet56', resnet56, 853_018, 125_485_696),
  resnet110: cifarEntry('resnet110', resnet110, 1_727_962, 252_887_680),
};
