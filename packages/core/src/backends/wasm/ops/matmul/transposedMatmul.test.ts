/** Blocks of rows cover all rows, each once and in order, for all kinds of loops. */
import { describe, expect, test } from 'vitest';
import { type RowLoop, rowBlocks } from './transposedMatmul.js';

/** Offsets of every row in both matrices, in order. */
const offsets = (loops: readonly RowLoop[], a = 0, b = 0): readonly string[] => {
  const [loop, ...inner] = loops;
  if (!loop) return [`${a} ${b}`];
  return Array.from({ length: loop.count }, (_, i) => offsets(inner, a + i * loop.a, b + i * loop.b)).flat();
};

const images = (n: number, h: number, w: number): readonly RowLoop[] => [
  { count: n, a: 10_000, b: h * w * 32 },
  { count: h, a: 300, b: w * 32 },
  { count: w, a: 8, b: 32 },
];

describe.each([
  ['whole images', images(6, 4, 4), 32],
  ['rows of an image', images(2, 9, 7), 20],
  ['parts of a row', images(2, 3, 50), 16],
  ['everything', images(2, 3, 4), 1000],
  ['one row', [{ count: 1, a: 4, b: 4 }], 8],
] as const)('%s', (_, loops, maxRows) => {
  const blocks = rowBlocks(loops, maxRows);

  test('contain every row once, in order', () => {
    expect(blocks.flatMap((block) => offsets(block.loops, block.a, block.b))).toEqual(offsets(loops));
    let before = 0;
    for (const block of blocks) {
      expect(block.before).toBe(before);
      before += block.rows;
    }
  });

  test('have at most the given number of rows', () => {
    for (const { rows } of blocks) expect(rows).toBeLessThanOrEqual(maxRows);
  });
});
