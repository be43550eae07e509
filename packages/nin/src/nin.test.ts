import { join } from 'node:path';
import { testFamily } from '@cnn/testing';
import { article, models, nin } from './index.js';

testFamily({
  block: { model: 'nin', path: 'net.2' },
  models,
  goldens: join(import.meta.dirname, '../goldens'),
  builders: {
    pub__nin_imagenet: nin,
    seed__NIN: () => article.nin(10),
  },
});
