/** Ops that look at all channels of a pixel together. */
import type { Node } from '../../../../graph/graph.js';
import type { LocalResponseNormAttrs } from '../../../../ops/localResponseNorm.js';
import { pixelRuns } from '../../memory/layout.js';
import type { Planner } from '../../schedule/planner.js';
import { type Lowering, pixelsOf, requirePixels, spreadPixels } from '../lowering.js';
import { responseNormKernel, responseScratch, softmaxKernel } from './acrossChannelsKernel.js';

export const lowerSoftmax: Lowering<object> = (p, node) => softmax(p, node, false);

export const lowerLogSoftmax: Lowering<object> = (p, node) => softmax(p, node, true);

function softmax(p: Planner, node: Node, logarithmic: boolean): void {
  requirePixels(node);
  const [x, y] = [pixelsOf(p, node.inputs[0]!), pixelsOf(p, node)];
  const runs = pixelRuns(x, y);
  const call = p.kernel(softmaxKernel, { channels: x.c, x: x.pixel, y: y.pixel, logarithmic });
  p.algorithm('softmax');
  spreadPixels(p, runs, (run, first, pixels) =>
    call({ x: runs.at(x, run, first), y: runs.at(y, run, first), pixels }),
  );
}

export const lowerLocalResponseNorm: Lowering<LocalResponseNormAttrs> = (p, node) => {
  const [x, y] = [pixelsOf(p, node.inputs[0]!), pixelsOf(p, node)];
  const { size, alpha, beta, k } = node.attrs;
  const runs = pixelRuns(x, y);
  const scratch = p.scratchForEach(responseScratch(x.c, size));
  const shape = { channels: x.c, x: x.pixel, y: y.pixel, size, alpha, beta, k };
  const call = p.kernel(responseNormKernel, shape);
  p.algorithm('local response norm');
  spreadPixels(p, runs, (run, first, pixels, thread) =>
    call({ x: runs.at(x, run, first), y: runs.at(y, run, first), scratch: scratch[thread]!, pixels }),
  );
};
