/** Enables 256-bit SIMD for tests: if CNN_WIDE_SIMD=1, projects in Node run this file before their tests. */
import { enableWideSimd } from '@cnn/core';

if (!enableWideSimd())
  throw new Error('CNN_WIDE_SIMD=1 requires 256-bit SIMD; run the tests with Node 24 or newer on x64.');
