import { join } from 'node:path';
import { testFamily } from '@cnn/testing';
import { alexnet, article, models } from './index.js';

testFamily({
  block: { model: 'alexnet', path: '' },
  models,
  goldens: join(import.meta.dirname, '../goldens'),
  builders: {
    tv__alexnet: alexnet,
    seed__Alexnet: () => article.alexnet(10),
  },
  counts: {
    'for 10 classes': [57_044_810, () => alexnet({ numClasses: 10 })],
  },
});
