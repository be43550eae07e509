import { join } from 'node:path';
import { testFamily } from '@cnn/testing';
import { article, models, resnet18, resnet20, resnet50 } from './index.js';

testFamily({
  block: { model: 'resnet50', path: 'layer1.0' },
  models,
  goldens: join(import.meta.dirname, '../goldens'),
  builders: {
    tv__resnet18: resnet18,
    tv__resnet50: resnet50,
    seed__ResNet18: article.resnet18,
    fixed__ResNet152: article.resnet152,
  },
  counts: {
    'resnet50 for 10 classes': [23_528_522, () => resnet50({ numClasses: 10 })],
    'resnet20 with projections': [272_474, () => resnet20({ shortcut: 'B' })],
  },
});
