/** The package `webgpu` where it is installed and broken. What it does where it works is in process.test.ts. */
import { expect, test } from 'vitest';
import { provideGpu } from './gpu.js';

test('what its native code says is told, with the version that works', async () => {
  const load = () => Promise.reject(new Error("libstdc++.so.6: version `GLIBCXX_3.4.32' not found\nmore"));
  await expect(provideGpu(load)).rejects.toThrow(
    /^The package webgpu cannot be loaded \(libstdc.*not found\)\. .*npm install gpu\.js@2\.24 webgpu@0\.6$/,
  );
});
