import { join } from 'node:path';
import { testFamily } from '@cnn/testing';
import { article, models, seresnet50 } from './index.js';

testFamily({
  block: { model: 'seresnet50', path: 'layer1.0' },
  models,
  goldens: join(import.meta.dirname, '../goldens'),
  builders: {
    pub__seresnet50: seresnet50,
    seed__SENet18: article.seNet18,
    fixed__SENet18: () => article.seNet18({ corrected: true }),
  },
  counts: {
    'seresnet50 that squeezes by 8': [30_603_912, () => seresnet50({ reduction: 8 })],
  },
});
