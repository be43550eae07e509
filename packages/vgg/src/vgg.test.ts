import { join } from 'node:path';
import { testFamily } from '@cnn/testing';
import { article, models, vgg11, vgg16Bn } from './index.js';

testFamily({
  block: { model: 'vgg11', path: '' },
  models,
  goldens: join(import.meta.dirname, '../goldens'),
  builders: {
    tv__vgg11: vgg11,
    tv__vgg16_bn: vgg16Bn,
    seed__VGGNet16: () => article.vggNet(10, 16),
  },
});
