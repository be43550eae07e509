import { TestGraph } from '@cnn/testing/fixtures';
import { describe, expect, test } from 'vitest';
import { emit } from '../../../../ops/define.js';
import { ops } from '../../../../ops/index.js';

const graphOf = (pictures: number, inputs: number, outputs: number): TestGraph =>
  new TestGraph([pictures, inputs], (test) =>
    emit(ops.linear, [test.x, test.parameter([outputs, inputs]), test.parameter([outputs])], {
      activation: { fn: 'relu' },
    }),
  );

/** Weights of 540 kB, so that they count as coming from memory, and small ones. */
const cases: Readonly<Record<string, readonly [pictures: number, inputs: number, outputs: number]>> = {
  'one picture': [1, 640, 211],
  'six pictures, one tile': [6, 640, 211],
  'seven pictures, a tall tile where vectors are wide': [7, 640, 211],
  'eight pictures': [8, 641, 211],
  'nine pictures, two tiles': [9, 640, 211],
  'eight pictures, small weights': [8, 31, 9],
};

describe('linear layers', () => {
  test.each(Object.entries(cases))('%s', (_, shape) => graphOf(...shape).expectReference(/^linear /));

  test('give the same bits on one, two and three threads, and NaN where there is one', async () => {
    expect.hasAssertions();
    for (const shape of Object.values(cases)) await graphOf(...shape).expectSameBits();
  });
});
