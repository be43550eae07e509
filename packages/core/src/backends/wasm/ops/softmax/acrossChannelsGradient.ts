/** Gradients of ops that look at all channels of a pixel together. */
import type { Node } from '../../../../graph/graph.js';
import type { LocalResponseNormAttrs } from '../../../../ops/localResponseNorm.js';
import { pixelRuns } from '../../memory/layout.js';
import type { Planner } from '../../schedule/planner.js';
import { type Lowering, pixelsOf, requirePixels, spreadPixels } from '../lowering.js';
import { responseNormGradient, softmaxGradient } from './acrossChannelsGradientKernel.js';
import { responseScratch } from './acrossChannelsKernel.js';

export const lowerSoftmaxGrad: Lowering<object> = (p, node) => softmax(p, node, false);

export const lowerLogSoftmaxGrad: Lowering<object> = (p, node) => softmax(p, node, true);

/** dy, the other operand and dx, pixel by pixel. */
function operands(p: Planner, node: Node) {
  requirePixels(node);
  const [gradient, input] = node.inputs as [Node, Node];
  const [dy, other, dx] = [pixelsOf(p, gradient), pixelsOf(p, input), pixelsOf(p, node)];
  const shape = { channels: dx.c, dy: dy.pixel, other: other.pixel, dx: dx.pixel };
  const runs = pixelRuns(dy, other, dx);
  return { dy, other, dx, shape, runs };
}

function softmax(p: Planner, node: Node, logarithmic: boolean): void {
  const { dy, other, dx, shape, runs } = operands(p, node);
  const call = p.kernel(softmaxGradient, { ...shape, logarithmic });
  p.algorithm('softmax');
  spreadPixels(p, runs, (run, first, pixels) =>
    call({
      dy: runs.at(dy, run, first),
      y: runs.at(other, run, first),
      dx: runs.at(dx, run, first),
      pixels,
    }),
  );
}

export const lowerLocalResponseNormGrad: Lowering<LocalResponseNormAttrs> = (p, node) => {
  const { dy, other, dx, shape, runs } = operands(p, node);
  const { size, alpha, beta, k } = node.attrs;
  const bytes = responseScratch(shape.channels, size);
  const [squares, products] = [p.scratchForEach(bytes), p.scratchForEach(bytes)];
  const call = p.kernel(responseNormGradient, { ...shape, size, alpha, beta, k });
  p.algorithm('local response norm');
  spreadPixels(p, runs, (run, first, pixels, thread) =>
    call({
      dy: runs.at(dy, run, first),
      x: runs.at(other, run, first),
      dx: runs.at(dx, run, first),
      squares: squares[thread]!,
      products: products[thread]!,
      scratchBytes: bytes,
      pixels,
    }),
  );
};
