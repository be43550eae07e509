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
  counts: {
    'vgg11 for 1 channel': [132_862_184, () => vgg11({ inChannels: 1 })],
    'vgg16_bn for 10 classes': [134_309_962, () => vgg16Bn({ numClasses: 10 })],
    "the article's with 19 layers": [20_040_522, () => article.vggNet(10, 19)],
  },
});
