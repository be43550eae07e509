/** Gives Node a GPU interface: the optional package `webgpu`, as `navigator.gpu` for the gpu back end. */
import { BackendUnavailable } from '@cnn/core';
import { isMissing } from './registry.js';

/** Command that installs everything that `--backend gpu` needs in Node. */
const INSTALL = 'npm install gpu.js@2.24 webgpu@0.6';

/** Part of the package's interface that is used here. */
interface WebGpuPackage {
  readonly create: (flags: string[]) => GPU;
  readonly globals: object;
}

/**
 * Makes `navigator.gpu` if there is none. A process with a GPU does not end by itself: see {@link holdsGpu}.
 * @throws BackendUnavailable with the command that installs the package, or its native error.
 */
export async function provideGpu(load: () => Promise<WebGpuPackage> = () => import('webgpu')): Promise<void> {
  if (holdsGpu()) return;
  const { create, globals } = await load().catch((error: unknown) => {
    if (isMissing(error, 'webgpu'))
      throw new BackendUnavailable(
        'gpu',
        `Node has no GPU interface, and the package webgpu, which provides one, is not installed. Install it and gpu.js with: ${INSTALL}`,
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

/** True if this process has a GPU interface. */
export const holdsGpu = (): boolean => typeof navigator !== 'undefined' && 'gpu' in navigator;
