/** @cnn/efficientnet: EfficientNet-B0 to B7, and the form that an article prints (article.ts). */
import type { ModelEntry, Paper, WeightsRecord } from '@cnn/core';
import {
  type EfficientnetOptions,
  efficientnetB0,
  efficientnetB1,
  efficientnetB2,
  efficientnetB3,
  efficientnetB4,
  efficientnetB5,
  efficientnetB6,
  efficientnetB7,
} from './efficientnet.js';
import { weights } from './weights.js';

export { article } from './article.js';
export * from './efficientnet.js';
export { renames } from './weights.js';

const paper: Paper = {
  title: 'EfficientNet: rethinking model scaling for convolutional neural networks',
  authors: 'M. Tan, Q. V. Le',
  year: 2019,
  url: 'https://arxiv.org/abs/1905.11946',
};

const entry = <const Name extends keyof typeof weights>(
  name: Name,
  build: ModelEntry<EfficientnetOptions>['build'],
  pixels: number,
  parameters: number,
  macs: number,
) => ({
  name,
  build,
  input: [1, 3, pixels, pixels],
  minimum: 1,
  parameters,
  macs,
  paper,
  weights: weights[name] as Readonly<Record<string, WeightsRecord>>,
});

/** The models of this family by their published names. */
export const models: Readonly<Record<keyof typeof weights, ModelEntry<EfficientnetOptions>>> = {
  efficientnet_b0: entry('efficientnet_b0', efficientnetB0, 224, 5_288_548, 385_814_752),
  efficientnet_b1: entry('efficientnet_b1', efficientnetB1, 240, 7_794_184, 686_802_832),
  efficientnet_b2: entry('efficientnet_b2', efficientnetB2, 288, 9_109_994, 1_087_529_456),
  efficientnet_b3: entry('efficientnet_b3', efficientnetB3, 300, 12_233_232, 1_827_141_392),
  efficientnet_b4: entry('efficientnet_b4', efficientnetB4, 380, 19_341_616, 4_393_771_024),
  efficientnet_b5: entry('efficientnet_b5', efficientnetB5, 456, 30_389_784, 10_266_384_752),
  efficientnet_b6: entry('efficientnet_b6', efficientnetB6, 528, 43_040_704, 19_067_593_536),
  efficientnet_b7: entry('efficientnet_b7', efficientnetB7, 600, 66_347_960, 37_745_884_192),
};
