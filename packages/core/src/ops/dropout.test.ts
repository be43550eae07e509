/** The random masks of dropout: their share, their independence, and that they depend on nothing else. */
import { expect, test } from 'vitest';
import { type RandomMaskAttrs, randomMaskOp } from './dropout.js';

const count = 1 << 16;

function mask(seed: number, attrs: Partial<RandomMaskAttrs> = {}): Float64Array {
  const shape = [count];
  const output = new Float64Array(count);
  randomMaskOp.reference({
    inputs: [Float64Array.of(seed)],
    shapes: [[1]],
    attrs: { keep: 0.5, stream: 0, shape, ...attrs },
    output,
    shape,
  });
  return output;
}

/** Share of the places at which both masks keep. */
const agreement = (a: Float64Array, b: Float64Array): number =>
  a.reduce((sum, value, i) => sum + (value > 0 && b[i]! > 0 ? 1 : 0), 0) / count;

/** Five standard deviations of a share of `count` draws with probability p. */
const doubt = (p: number): number => 5 * Math.sqrt((p * (1 - p)) / count);

test.each([0.2, 0.5, 0.8, 0.9])('keeps a share of %d and scales it to mean 1', (keep) => {
  const values = mask(7, { keep });
  expect(new Set(values)).toEqual(new Set([0, 1 / keep]));
  const share = values.filter((value) => value > 0).length / count;
  expect(Math.abs(share - keep)).toBeLessThan(doubt(keep));
});

test('a probability of 1 keeps everything', () => {
  expect(mask(7, { keep: 1 }).every((value) => value === 1)).toBe(true);
});

test('the same seed and stream give the same mask', () => {
  expect(mask(3, { stream: 2 })).toEqual(mask(3, { stream: 2 }));
});

test.each<[string, Float64Array, Float64Array]>([
  ['neighbouring seeds', mask(1), mask(2)],
  ['the first and the last seed', mask(0), mask(2 ** 24 - 1)],
  ['two streams of a step', mask(1), mask(1, { stream: 1 })],
  ['neighbouring steps and streams', mask(1, { stream: 1 }), mask(2)],
  ['neighbouring places', mask(5), mask(5).map((_, i, all) => all[(i + 1) % count]!)],
  ['neighbouring rows', mask(5), mask(5).map((_, i, all) => all[(i + 224) % count]!)],
])('%s are independent', (_, a, b) => {
  expect(Math.abs(agreement(a, b) - 0.25)).toBeLessThan(doubt(0.25));
});
