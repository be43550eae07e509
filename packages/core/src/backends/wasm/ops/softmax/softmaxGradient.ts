/** Gradients of softmax and log softmax. */
import type { Node } from '../../../../graph/graph.js';
import { pixelRuns } from '../../memory/layout.js';
import type { LoweringContext } from '../../schedule/context.js';
import { type Lowering, parallelForPixels, pixelsOf, requirePixels } from '../lowering.js';
import { softmaxGradient } from './softmaxGradientKernel.js';

export const lowerSoftmaxGrad: Lowering<object> = (p, node) => softmaxGradientPhase(p, node, false);

export const lowerLogSoftmaxGrad: Lowering<object> = (p, node) => softmaxGradientPhase(p, node, true);

function softmaxGradientPhase(p: LoweringContext, node: Node, logarithmic: boolean): void {
  requirePixels(node);
  const [gradient, output] = node.inputs as [Node, Node];
  const [dy, y, dx] = [pixelsOf(p, gradient), pixelsOf(p, output), pixelsOf(p, node)];
  const runs = pixelRuns(dy, y, dx);
  const call = p.kernel(softmaxGradient, {
    channels: dx.c,
    dy: dy.pixelStride,
    y: y.pixelStride,
    dx: dx.pixelStride,
    logarithmic,
  });
  parallelForPixels(p, 'softmax', runs, (run, first, pixels) =>
    call({ dy: runs.at(dy, run, first), y: runs.at(y, run, first), dx: runs.at(dx, run, first), pixels }),
  );
}
