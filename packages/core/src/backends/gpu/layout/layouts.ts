/** The choice of a layout: WebGL2 packs batches of images, everything else is planar. */
import type { GpuMode } from '../mode.js';
import { packedLayout } from './packed.js';
import { planarLayout } from './planar.js';
import type { LayoutOf } from './types.js';

/** Layout function of each mode. */
export const layouts: Readonly<Record<GpuMode, LayoutOf>> = {
  webgpu: planarLayout,
  webgl2: (shape, padding) => (shape.length === 4 ? packedLayout : planarLayout)(shape, padding),
};
