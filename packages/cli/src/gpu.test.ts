/** Tests a broken installation of the package `webgpu`; process.test.ts tests a working one. */
import { expect, test } from 'vitest';
import { provideGpu } from './gpu.js';

test('the error of its native code is reported, with the version that works', async () => {
  const load = () => Promise.reject(new Error("libstdc++.so.6: version `GLIBCXX_3.4.32' not found\nmore"));
  await expect(provideGpu(load)).rejects.toThrow(
    /^The package webgpu cannot be loaded \(libstdc.*not found\)\. .*npm install gpu\.js@2\.24 webgpu@0\.6$/,
  );
});
