import { join } from 'node:path';
import { testFamily } from '@cnn/testing';
import { article, mobilenetV1, mobilenetV2, mobilenetV3Large, mobilenetV3Small, models } from './index.js';

testFamily({
  block: { model: 'mobilenet_v2', path: 'features.3' },
  models,
  goldens: join(import.meta.dirname, '../goldens'),
  builders: {
    pub__mobilenet_v1: mobilenetV1,
    tv__mobilenet_v2: mobilenetV2,
    tv__mobilenet_v3_small: mobilenetV3Small,
    seed__MobileNetV1: article.mobileNetV1,
    seed__MobileNetV2: article.mobileNetV2,
    seed__MobileNetV3_SMALL: () => article.mobileNetV3('SMALL'),
  },
  counts: {
    'V1, half as wide': [1_331_592, () => mobilenetV1({ width: 0.5 })],
    'V2, 0.35 times as wide': [1_677_128, () => mobilenetV2({ width: 0.35 })],
    'V2, 0.5 times as wide': [1_968_680, () => mobilenetV2({ width: 0.5 })],
    'V2, 0.75 times as wide': [2_636_424, () => mobilenetV2({ width: 0.75 })],
    'V2, 1.4 times as wide': [6_108_776, () => mobilenetV2({ width: 1.4 })],
    'V3 small, half as wide': [917_264, () => mobilenetV3Small({ width: 0.5 })],
    'V3 large, 0.75 times as wide': [3_377_576, () => mobilenetV3Large({ width: 0.75 })],
    "the article's V2, 0.35 times as wide": [
      1_709_640,
      () => article.mobileNetV2({ nClass: 1000, widthMult: 0.35 }),
    ],
    "the article's V2, 1.4 times as wide": [
      6_191_336,
      () => article.mobileNetV2({ nClass: 1000, widthMult: 1.4 }),
    ],
    "the article's V3 large": [5_152_518, () => article.mobileNetV3('LARGE')],
  },
});
