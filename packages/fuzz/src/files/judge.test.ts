/** Tests that SECURITY.md states the judge's limits as they are. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { judgeLimits } from './judge.js';

test("SECURITY.md states the judge's limits", () => {
  const text = readFileSync(new URL('../../../../SECURITY.md', import.meta.url), 'utf8').replace(/\s+/g, ' ');
  expect(judgeLimits.memoryPerResultByte).toBe(2);
  expect(text).toContain(
    `within ${judgeLimits.secondsPerMegabyte} seconds of processor time for each MB of the file, ${judgeLimits.secondsPerTenMegapixels} seconds for each 10 megapixels of the result, and ${judgeLimits.milliseconds} ms; and within ${judgeLimits.memoryPerByte} times the bytes of the file, unpacked, or twice those of the result, and ${judgeLimits.megabytes} MB.`,
  );
});
