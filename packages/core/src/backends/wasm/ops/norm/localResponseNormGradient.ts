/** Gradient of local response normalisation. */
import type { Node } from '../../../../graph/graph.js';
import type { LocalResponseNormAttrs } from '../../../../ops/localResponseNorm.js';
import { pixelRuns } from '../../memory/layout.js';
import { type Lowering, parallelForPixels, pixelsOf, requirePixels } from '../lowering.js';
import { localResponseNormGradient } from './localResponseNormGradientKernel.js';
import { localResponseNormWorkspace } from './localResponseNormKernel.js';

export const lowerLocalResponseNormGrad: Lowering<LocalResponseNormAttrs> = (p, node) => {
  requirePixels(node);
  const [gradient, input] = node.inputs as [Node, Node];
  const [dy, x, dx] = [pixelsOf(p, gradient), pixelsOf(p, input), pixelsOf(p, node)];
  const { size, alpha, beta, k } = node.attrs;
  const runs = pixelRuns(dy, x, dx);
  const workspaceBytes = localResponseNormWorkspace(dx.c, size);
  const [squares, products] = [p.workspacePerThread(workspaceBytes), p.workspacePerThread(workspaceBytes)];
  const call = p.kernel(localResponseNormGradient, {
    channels: dx.c,
    dy: dy.pixelStride,
    x: x.pixelStride,
    dx: dx.pixelStride,
    size,
    alpha,
    beta,
    k,
  });
  parallelForPixels(p, 'local response norm', runs, (run, first, pixels, thread) =>
    call({
      dy: runs.at(dy, run, first),
      x: runs.at(x, run, first),
      dx: runs.at(dx, run, first),
      squares: squares[thread]!,
      products: products[thread]!,
      workspaceBytes,
      pixels,
    }),
  );
};
