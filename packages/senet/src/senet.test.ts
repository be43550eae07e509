import { join } from 'node:path';
import { trace } from '@cnn/core';
import { testFamily } from '@cnn/testing';
import { expect, test } from 'vitest';
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

test.each(['preact', 'basic'] as const)(
  'the corrected network of %s blocks takes pictures that are not square',
  (block) => {
    const net = article.squeezeExcitationNet(block, [1, 1, 1, 1], 10, { corrected: true });
    expect(trace(net, [1, 3, 48, 33]).output.shape).toEqual([1, 10]);
    expect(trace(net, [1, 3, 33, 48]).output.shape).toEqual([1, 10]);
  },
);
