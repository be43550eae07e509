/**
 * Sets up WebGPU in Node for tests, as docs/gpu.md describes. The project `gpu` runs this file before its
 * tests.
 */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** True if WebGPU is available. */
export const hasWebGpu = (): boolean => typeof navigator !== 'undefined' && 'gpu' in navigator;

if (process.env.CNN_BACKEND === 'gpu' && !hasWebGpu()) {
  const { create, globals } = require('webgpu') as { create(flags: readonly string[]): GPU; globals: object };
  const gpu = create([]);
  if (await gpu.requestAdapter()) {
    Object.assign(globalThis, globals);
    Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
  } else console.warn('No Vulkan was found for WebGPU in Node, so its tests are skipped. Install Chromium.');
}
