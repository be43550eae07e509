/** Local response normalisation. */
import type { LocalResponseNormAttrs } from '../../../../ops/localResponseNorm.js';
import { pixelRuns } from '../../memory/layout.js';
import { type Lowering, parallelForPixels, pixelsOf } from '../lowering.js';
import { localResponseNormKernel, localResponseNormWorkspace } from './localResponseNormKernel.js';

export const lowerLocalResponseNorm: Lowering<LocalResponseNormAttrs> = (p, node) => {
  const [x, y] = [pixelsOf(p, node.inputs[0]!), pixelsOf(p, node)];
  const { size, alpha, beta, k } = node.attrs;
  const runs = pixelRuns(x, y);
  const workspace = p.workspacePerThread(localResponseNormWorkspace(x.c, size));
  const shape = { channels: x.c, x: x.pixelStride, y: y.pixelStride, size, alpha, beta, k };
  const call = p.kernel(localResponseNormKernel, shape);
  parallelForPixels(p, 'local response norm', runs, (run, first, pixels, thread) =>
    call({ x: runs.at(x, run, first), y: runs.at(y, run, first), workspace: workspace[thread]!, pixels }),
  );
};
