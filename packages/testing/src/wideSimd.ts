/** Runs tests with 256-bit SIMD: projects in Node run this file before their tests where CNN_WIDE_SIMD=1. */
import { enableWideSimd } from '@cnn/core';

if (!enableWideSimd())
  throw new Error(
    'CNN_WIDE_SIMD=1 asks for 256-bit SIMD, which Node 24 and newer have on x64; run the tests with that.',
  );
