/**
 * Inverted residuals, from expansion to projection. Large pictures go by rows, from the block's input to its
 * output. Small pictures go by channels, and all meet before the projection, as they do for squeeze-and-excitation.
 */
import type { Node } from '../../../graph/graph.js';
import { sizeOf } from '../../../tensor/shape.js';
import { FLOAT, paddedChannels } from '../kernels/kernel.js';
import type { Block } from '../plan/groups.js';
import type { Planner } from '../plan/planner.js';
import { extents, type Pixels, valueAt } from '../plan/value.js';
import { type BlockPlan, channelsPhase, rowsPhase } from './blockPhases.js';
import { lowerConvolution } from './conv2d.js';
import { convolutionOf } from './convolution.js';
import { planDepthwise } from './depthwise.js';
import { pixelsOf } from './lowering.js';
import { LARGE_WEIGHTS, pointwiseProduct } from './rowProduct.js';
import { projectSqueezed } from './squeeze.js';

/** The most of the expansion that may be done twice, where the rows of two threads meet. */
const MOST_REPEATED = 1 / 6;

export function lowerBlock(p: Planner, block: Block): void {
  const { expand, depthwise, squeeze, project } = block;
  const x = pixelsOf(p, (expand ?? depthwise).inputs[0]!);
  const y = pixelsOf(p, project);
  const { n, c, h, w } = extents(depthwise.shape);
  const pixel = paddedChannels(c) * FLOAT;
  const wide = { h: x.h, w: x.w, pixel: expand ? pixel : x.pixel };
  const narrow = { n, c, h, w, pixel };
  const plan: BlockPlan = {
    ...{ p, block, x, y, wide, narrow },
    expand: expand && pointwiseProduct(p, expand, { a: x.pixel, c: pixel, residual: 0 }),
    depthwise: planDepthwise(
      p,
      convolutionOf(p, depthwise, () => x, y),
      wide,
      narrow,
      { sums: squeeze !== undefined },
    ),
    sums: squeeze && p.scratch(n * h * pixel),
  };
  const byRows = rowsPay(plan);
  const name = `${expand ? 'expand, ' : ''}depthwise ${depthwise.inputs[1]!.shape.slice(2).join('x')}`;
  if (byRows && !squeeze) {
    const residual = project.inputs[3] && pixelsOf(p, project.inputs[3]);
    const product = pointwiseProduct(p, project, { a: pixel, c: y.pixel, residual: residual?.pixel ?? 0 });
    p.named(`${name}, project by rows`, () => rowsPhase(plan, { product, residual }));
    return;
  }
  const filtered = p.scratch(n * h * w * pixel);
  const value = valueAt(filtered, depthwise.shape) as Pixels;
  p.named(`${name} by ${byRows ? 'rows' : 'channels'}, ${squeeze ? 'squeeze, ' : ''}project`, () => {
    if (byRows) rowsPhase(plan, { filtered });
    else channelsPhase(plan, filtered);
    if (squeeze && plan.sums) projectSqueezed(p, squeeze, project, { value, sums: plan.sums, y });
    else
      lowerConvolution(
        p,
        convolutionOf(p, project, () => value, y),
      );
  });
}

/** Whether rows are the way: where they can be shared out evenly, at little cost, and weights are not the larger part. */
function rowsPay({
  p: { threads },
  block: { expand, depthwise, project },
  narrow,
  wide,
}: BlockPlan): boolean {
  const rows = narrow.n * narrow.h;
  const bytes = (node: Node | undefined): number => (node ? sizeOf(node.inputs[1]!.shape) * FLOAT : 0);
  const overlap = depthwise.inputs[1]!.shape[2]! - depthwise.attrs.stride[0];
  const repeated = expand ? (overlap * (threads - 1)) / (narrow.n * wide.h) : 0;
  return (
    (rows >= 6 * threads || rows % threads === 0) &&
    repeated <= MOST_REPEATED &&
    Math.max(bytes(expand), bytes(project)) <= LARGE_WEIGHTS
  );
}
