import { join } from 'node:path';
import { testFamily } from '@cnn/testing';
import { article, models, shufflenetV1G1, shufflenetV1G3, shufflenetV2X1_0 } from './index.js';

testFamily({
  block: { model: 'shufflenet_v2_x1_0', path: 'stage2.1' },
  models,
  goldens: join(import.meta.dirname, '../goldens'),
  builders: {
    pub__shufflenet_v1_g1: shufflenetV1G1,
    pub__shufflenet_v1_g3: shufflenetV1G3,
    tv__shufflenet_v2_x1_0: shufflenetV2X1_0,
    seed__ShuffleNetV1_g3: article.shuffleNetV1,
    seed__ShuffleNetV2_x1: article.shuffleNetV2,
  },
  counts: {
    "the article's V1 with 8 groups": [2_450_848, () => article.shuffleNetV1({ groups: 8 })],
    "the article's V2, twice as wide": [7_366_536, () => article.shuffleNetV2({ widthMult: 2 })],
  },
});
