import { join } from 'node:path';
import { testFamily } from '@cnn/testing';
import { article, lenet5, models } from './index.js';

testFamily({
  block: { model: 'lenet5', path: '' },
  models,
  goldens: join(import.meta.dirname, '../goldens'),
  builders: {
    pub__lenet5_relu: lenet5,
    seed__Lenet: article.lenet,
  },
  counts: {
    'for 3 channels': [62_006, () => lenet5({ inChannels: 3 })],
  },
});
