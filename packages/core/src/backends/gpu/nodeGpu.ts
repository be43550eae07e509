/** WebGPU in Node for tests, as docs/gpu.md shows it. */
import { createRequire } from 'node:module';

/** Puts WebGPU on `navigator.gpu`, and says whether there is an adapter. Without one, tests are left out with a message. */
export async function provideWebGpu(): Promise<boolean> {
  const { create, globals } = createRequire(import.meta.url)('webgpu') as {
    create(flags: readonly string[]): GPU;
    globals: object;
  };
  Object.assign(globalThis, globals);
  Object.defineProperty(globalThis, 'navigator', { value: { gpu: create([]) }, configurable: true });
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter)
    console.warn('No Vulkan was found for WebGPU in Node, so its tests are left out. Install Chromium.');
  return adapter !== null;
}
