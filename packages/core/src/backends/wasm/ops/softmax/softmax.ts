/** Softmax and log softmax. */
import type { Node } from '../../../../graph/graph.js';
import { pixelRuns } from '../../memory/layout.js';
import type { LoweringContext } from '../../schedule/context.js';
import { type Lowering, parallelForPixels, pixelsOf, requirePixels } from '../lowering.js';
import { softmaxKernel } from './softmaxKernel.js';

export const lowerSoftmax: Lowering<object> = (p, node) => softmaxPhase(p, node, false);

export const lowerLogSoftmax: Lowering<object> = (p, node) => softmaxPhase(p, node, true);

function softmaxPhase(p: LoweringContext, node: Node, logarithmic: boolean): void {
  requirePixels(node);
  const [x, y] = [pixelsOf(p, node.inputs[0]!), pixelsOf(p, node)];
  const runs = pixelRuns(x, y);
  const call = p.kernel(softmaxKernel, { channels: x.c, x: x.pixelStride, y: y.pixelStride, logarithmic });
  parallelForPixels(p, 'softmax', runs, (run, first, pixels) =>
    call({ x: runs.at(x, run, first), y: runs.at(y, run, first), pixels }),
  );
}
