import { expect, test } from 'vitest';
import { detectFeatures, engineFor } from './codegen/engine.js';
import { enableWideSimd, wideSimdEnabled } from './wideSimd.js';

test('says whether kernels are 256 bits wide, and gives FMA where a flag does', () => {
  const before = detectFeatures();
  // A run of all tests with 256-bit SIMD has asked for it already.
  expect(wideSimdEnabled()).toBe(process.env.CNN_WIDE_SIMD === '1');
  const wide = enableWideSimd();
  expect(wideSimdEnabled()).toBe(wide);
  expect(enableWideSimd()).toBe(wide);
  // Engines before Turboshaft cannot pair operations.
  if (!before.memory64) expect(wide).toBe(false);
  expect(detectFeatures().relaxedSimd).toBe(true);
});

test('tiles fit the fifteen registers that kernels may use', () => {
  const features = { simd: true, threads: true };
  for (const relaxedSimd of [false, true])
    for (const memory64 of [false, true])
      for (const wide of memory64 ? [false, true] : [false]) {
        const { fma, tileRows, tileColumns } = engineFor({ ...features, relaxedSimd, memory64 }, wide);
        const lanes = wide ? 8 : 4;
        const columns = tileColumns / lanes;
        expect(tileRows * columns + columns + 1 + (fma ? 0 : 1)).toBeLessThanOrEqual(15);
      }
});
