/** Gradients of ops that look at all channels of a pixel together. */
import type { Node } from '../../../../graph/graph.js';
import type { LocalResponseNormAttrs } from '../../../../ops/localResponseNorm.js';
import { responseScratch } from '../../kernels/acrossChannels.js';
import { responseNormGradient, softmaxGradient } from '../../kernels/gradient/acrossChannels.js';
import type { Planner } from '../../plan/planner.js';
import { pixelRuns } from '../../plan/value.js';
import { type Lowering, pixelsOf, requirePixels, spreadPixels } from '../lowering.js';

export const lowerSoftmaxGrad: Lowering<object> = (p, node) => softmax(p, node, false);

export const lowerLogSoftmaxGrad: Lowering<object> = (p, node) => softmax(p, node, true);

/** dy, the other operand and dx, pixel by pixel. */
function operands(p: Planner, node: Node) {
  requirePixels(node);
  const [gradient, input] = node.inputs as [Node, Node];
  const [dy, other, dx] = [pixelsOf(p, gradient), pixelsOf(p, input), pixelsOf(p, node)];
  const shape = { channels: dx.c, dy: dy.pixel, other: other.pixel, dx: dx.pixel };
  const runs = pixelRuns(dy, other, dx);
  const at = (run: number, first: number) => [dy, other, dx].map((value) => runs.at(value, run, first));
  return { shape, runs, at };
}

function softmax(p: Planner, node: Node, logarithmic: boolean): void {
  const { shape, runs, at } = operands(p, node);
  const kernel = p.kernel('softmax gradient', { ...shape, logarithmic }, softmaxGradient);
  p.algorithm('softmax');
  spreadPixels(p, runs, (run, first, pixels) => ({ kernel, parameters: [...at(run, first), pixels] }));
}

export const lowerLocalResponseNormGrad: Lowering<LocalResponseNormAttrs> = (p, node) => {
  const { shape, runs, at } = operands(p, node);
  const { size, alpha, beta, k } = node.attrs;
  const bytes = responseScratch(shape.channels, size);
  const [squares, products] = [p.scratchForEach(bytes), p.scratchForEach(bytes)];
  const kernel = p.kernel('response norm gradient', { ...shape, size, alpha, beta, k }, responseNormGradient);
  p.algorithm('local response norm');
  spreadPixels(p, runs, (run, first, pixels, thread) => ({
    kernel,
    parameters: [...at(run, first), squares[thread]!, products[thread]!, bytes, pixels],
  }));
};
