/** A GPU for Node, which has none of its own: the optional package `webgpu`, put where the gpu back end looks for it. */
import { BackendUnavailable } from '@cnn/core';
import { isMissing } from './registry.js';

/** What installs everything that `--backend gpu` needs in Node. */
const INSTALL = 'npm install gpu.js@2.24 webgpu@0.6';

/** The part of the package that is used here. */
interface WebGpuPackage {
  readonly create: (flags: string[]) => GPU;
  readonly globals: object;
}

/**
 * Makes `navigator.gpu`, unless it is there. A process that holds a GPU does not end by itself: see {@link holdsGpu}.
 * @throws BackendUnavailable with the command that installs the package, or with what its native code says.
 */
export async function provideGpu(load: () => Promise<WebGpuPackage> = () => import('webgpu')): Promise<void> {
  if (holdsGpu()) return;
  const { create, globals } = await load().catch((error: unknown) => {
    if (isMissing(error, 'webgpu'))
      throw new BackendUnavailable(
        'gpu',
        `Node has no GPU interface of its own, and the package webgpu, which is one, is not installed. Install it and gpu.js with: ${INSTALL}`,
      );
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new BackendUnavailable(
      'gpu',
      `The package webgpu cannot be loaded (${reason}). Install the version that the gpu back end is tested with: ${INSTALL}`,
    );
  });
  Object.assign(globalThis, globals);
  // Newer versions of Node have a navigator, without a GPU.
  if (typeof navigator === 'undefined')
    Object.defineProperty(globalThis, 'navigator', { value: {}, configurable: true });
  Object.defineProperty(navigator, 'gpu', { value: create([]), configurable: true });
}

/** Whether this process has a GPU at hand. */
export const holdsGpu = (): boolean => typeof navigator !== 'undefined' && 'gpu' in navigator;
