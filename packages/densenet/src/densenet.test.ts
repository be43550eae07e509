import { join } from 'node:path';
import { testFamily } from '@cnn/testing';
import { article, densenet121, models } from './index.js';

testFamily({
  block: { model: 'densenet121', path: 'features.denseblock1.denselayer2' },
  models,
  goldens: join(import.meta.dirname, '../goldens'),
  builders: {
    tv__densenet121: densenet121,
    seed__DenseNet: () => article.denseNet(10),
  },
  counts: {
    'densenet121 that grows by 16': [2_338_816, () => densenet121({ growthRate: 16 })],
  },
});
