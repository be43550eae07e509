import { join } from 'node:path';
import { testFamily } from '@cnn/testing';
import { article, efficientnetB0, efficientnetB1, models } from './index.js';

testFamily({
  block: { model: 'efficientnet_b0', path: 'features.2.1' },
  models,
  goldens: join(import.meta.dirname, '../goldens'),
  builders: {
    tv__efficientnet_b0: efficientnetB0,
    tv__efficientnet_b1: efficientnetB1,
    seed__EfficientNet_1_1: () => article.efficientNet(1, 1),
  },
  counts: {
    'for 10 classes, padded as in TensorFlow': [
      4_020_358,
      () => efficientnetB0({ numClasses: 10, padding: 'same' }),
    ],
    "the article's B3": [12_233_232, () => article.efficientNet(1.2, 1.4)],
  },
});
