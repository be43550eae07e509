/** @cnn/mobilenet: MobileNetV1, V2 and V3, and the forms that an article prints (article.ts). */
import type { ModelEntry, Paper, WeightsRecord } from '@cnn/core';
import { type MobileNetV1Options, mobilenetV1 } from './mobilenetV1.js';
import { type MobileNetV2Options, mobilenetV2 } from './mobilenetV2.js';
import { type MobileNetV3Options, mobilenetV3Large, mobilenetV3Small } from './mobilenetV3.js';
import { weights } from './weights.js';

export { article } from './article.js';
export * from './mobilenetV1.js';
export * from './mobilenetV2.js';
export * from './mobilenetV3.js';
export { renames } from './weights.js';

const v1Paper: Paper = {
  title: 'MobileNets: efficient convolutional neural networks for mobile vision applications',
  authors: 'A. G. Howard, M. Zhu, B. Chen, D. Kalenichenko, W. Wang, T. Weyand, M. Andreetto, H. Adam',
  year: 2017,
  url: 'https://arxiv.org/abs/1704.04861',
};
const v2Paper: Paper = {
  title: 'MobileNetV2: inverted residuals and linear bottlenecks',
  authors: 'M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen',
  year: 2018,
  url: 'https://arxiv.org/abs/1801.04381',
};
const v3Paper: Paper = {
  title: 'Searching for MobileNetV3',
  authors:
    'A. Howard, M. Sandler, G. Chu, L.-C. Chen, B. Chen, M. Tan, W. Wang, Y. Zhu, R. Pang, V. Vasudevan, Q. V. Le, H. Adam',
  year: 2019,
  url: 'https://arxiv.org/abs/1905.02244',
};

const entry = <Options extends object>(
  name: keyof typeof weights,
  build: ModelEntry<Options>['build'],
  parameters: number,
  macs: number,
  paper: Paper,
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

/** The models of this family by their published names. */
export const models: Readonly<
  Record<'mobilenet_v1', ModelEntry<MobileNetV1Options>> &
    Record<'mobilenet_v2', ModelEntry<MobileNetV2Options>> &
    Record<'mobilenet_v3_large' | 'mobilenet_v3_small', ModelEntry<MobileNetV3Options>>
> = {
  mobilenet_v1: entry<MobileNetV1Options>('mobilenet_v1', mobilenetV1, 4_231_976, 568_740_352, v1Paper),
  mobilenet_v2: entry<MobileNetV2Options>('mobilenet_v2', mobilenetV2, 3_504_872, 300_774_272, v2Paper),
  mobilenet_v3_large: entry<MobileNetV3Options>(
    'mobilenet_v3_large',
    mobilenetV3Large,
    5_483_032,
    216_589_760,
    v3Paper,
  ),
  mobilenet_v3_small: entry<MobileNetV3Options>(
    'mobilenet_v3_small',
    mobilenetV3Small,
    2_542_856,
    56_510_400,
    v3Paper,
  ),
};
