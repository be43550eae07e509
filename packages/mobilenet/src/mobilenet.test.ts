import { join } from 'node:path';
import { testFamily } from '@cnn/testing';
import { article, mobilenetV1, mobilenetV2, mobilenetV3Small, models } from './index.js';

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
});
