import { TestGraph } from '@cnn/testing/fixtures';
import { describe, expect, test } from 'vitest';
import { emit } from '../../../../ops/define.js';
import { ops } from '../../../../ops/index.js';

const graphOf = (images: number, inputs: number, outputs: number): TestGraph =>
  new TestGraph([images, inputs], (test) =>
    emit(ops.linear, [test.x, test.parameter([outputs, inputs]), test.parameter([outputs])], {
      activation: { fn: 'relu' },
    }),
  );

/** Weights of 540 kB, which stream from memory, and small ones. */
const cases: Readonly<Record<string, readonly [images: number, inputs: number, outputs: number]>> = {
  'one image': [1, 640, 211],
  'six images, one tile': [6, 640, 211],
  'seven images, a tall tile where vectors are wide': [7, 640, 211],
  'eight images': [8, 641, 211],
  'nine images, two tiles': [9, 640, 211],
  'eight images, small weights': [8, 31, 9],
};

describe('linear layers', () => {
  test.each(Object.entries(cases))('%s', (_, shape) => graphOf(...shape).expectReference(/^linear /));

  test('give the same bits on one, two and three threads, and NaN where there is one', async () => {
    expect.hasAssertions();
    for (const shape of Object.values(cases)) await graphOf(...shape).expectSameBits();
  });
});
