/** @cnn/shufflenet: ShuffleNetV1 and V2, and the forms that an article prints (article.ts). */
import type { ModelEntry, Paper } from '@cnn/core';
import {
  type ShufflenetV1Options,
  shufflenetV1G1,
  shufflenetV1G2,
  shufflenetV1G3,
  shufflenetV1G3Megvii,
  shufflenetV1G4,
  shufflenetV1G8,
} from './shufflenetV1.js';
import {
  type ShufflenetV2Options,
  shufflenetV2X0_5,
  shufflenetV2X1_0,
  shufflenetV2X1_5,
  shufflenetV2X2_0,
} from './shufflenetV2.js';
import { weights } from './weights.js';

export { article } from './article.js';
export * from './shufflenetV1.js';
export * from './shufflenetV2.js';
export { renames } from './weights.js';

const v1Paper: Paper = {
  title: 'ShuffleNet: an extremely efficient convolutional neural network for mobile devices',
  authors: 'X. Zhang, X. Zhou, M. Lin, J. Sun',
  year: 2017,
  url: 'https://arxiv.org/abs/1707.01083',
};
const v2Paper: Paper = {
  title: 'ShuffleNet V2: practical guidelines for efficient CNN architecture design',
  authors: 'N. Ma, X. Zhang, H.-T. Zheng, J. Sun',
  year: 2018,
  url: 'https://arxiv.org/abs/1807.11164',
};

const entry = <Options extends object>(
  name: string,
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
  weights: weights[name] ?? {},
});

const v1 = (
  name: string,
  build: ModelEntry<ShufflenetV1Options>['build'],
  parameters: number,
  macs: number,
) => entry(name, build, parameters, macs, v1Paper);
const v2 = (
  name: string,
  build: ModelEntry<ShufflenetV2Options>['build'],
  parameters: number,
  macs: number,
) => entry(name, build, parameters, macs, v2Paper);

type V1Name = `shufflenet_v1_g${1 | 2 | 3 | 4 | 8 | '3_megvii'}`;
type V2Name = `shufflenet_v2_x${'0_5' | '1_0' | '1_5' | '2_0'}`;

/** The models of this family by their published names. */
export const models: Readonly<
  Record<V1Name, ModelEntry<ShufflenetV1Options>> & Record<V2Name, ModelEntry<ShufflenetV2Options>>
> = {
  shufflenet_v1_g1: v1('shufflenet_v1_g1', shufflenetV1G1, 1_531_936, 143_078_976),
  shufflenet_v1_g2: v1('shufflenet_v1_g2', shufflenetV1G2, 1_733_848, 140_836_512),
  shufflenet_v1_g3: v1('shufflenet_v1_g3', shufflenetV1G3, 1_865_728, 137_460_672),
  shufflenet_v1_g4: v1('shufflenet_v1_g4', shufflenetV1G4, 1_968_344, 134_339_776),
  shufflenet_v1_g8: v1('shufflenet_v1_g8', shufflenetV1G8, 2_434_768, 138_365_952),
  shufflenet_v1_g3_megvii: v1('shufflenet_v1_g3_megvii', shufflenetV1G3Megvii, 1_864_728, 137_460_672),
  shufflenet_v2_x0_5: v2('shufflenet_v2_x0_5', shufflenetV2X0_5, 1_366_792, 40_476_448),
  shufflenet_v2_x1_0: v2('shufflenet_v2_x1_0', shufflenetV2X1_0, 2_278_604, 144_907_992),
  shufflenet_v2_x1_5: v2('shufflenet_v2_x1_5', shufflenetV2X1_5, 3_503_624, 295_759_392),
  shufflenet_v2_x2_0: v2('shufflenet_v2_x2_0', shufflenetV2X2_0, 7_393_996, 583_253_464),
};
