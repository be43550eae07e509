import { join } from 'node:path';
import { testFamily } from '@cnn/testing';
import { article, googlenet, models } from './index.js';

testFamily({
  block: { model: 'googlenet', path: 'inception3a' },
  models,
  goldens: join(import.meta.dirname, '../goldens'),
  builders: {
    tv__googlenet: googlenet,
    seed__Googlenet: article.googlenet,
  },
  counts: {
    'with auxiliary heads': [13_004_888, () => googlenet({ auxLogits: true })],
    'with auxiliary heads, for 10 classes': [9_960_638, () => googlenet({ auxLogits: true, numClasses: 10 })],
  },
});
