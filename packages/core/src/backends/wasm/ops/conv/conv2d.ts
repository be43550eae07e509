/** Lowers convolutions: chooses the algorithm of each. */
import type { Node } from '../../../../graph/graph.js';
import type { Conv2dAttrs } from '../../../../ops/conv2d.js';
import { FLOAT } from '../../codegen/kernel.js';
import { MAX_WINDOW_ROWS } from '../../codegen/windowRow.js';
import type { LoweringContext } from '../../schedule/context.js';
import { isFirstConv } from '../../schedule/fusions.js';
import { type Lowering, pixelsOf } from '../lowering.js';
import { type Convolution, convolutionOf } from './convolution.js';
import { lowerDepthwise } from './depthwise/depthwise.js';
import { directConvolution, directWindow } from './direct.js';
import { lowerFirstConv } from './firstConv.js';
import { lowerGroupedMatmul } from './grouped/groupedMatmul.js';
import { chooseGroupedRows, lowerGroupedRows } from './grouped/groupedRows.js';
import { type TransformWeights, transformConstantWeights } from './winograd/weights.js';
import { chooseWinograd, lowerWinograd } from './winograd/winograd.js';

/** Makes the lowering of convolutions whose weights `transformWeights` transforms for Winograd. */
export const conv2dLowering =
  (transformWeights: TransformWeights): Lowering<Conv2dAttrs> =>
  (p, node) => {
    const [x] = node.inputs as [Node];
    const convolution = convolutionOf(p, node, () => pixelsOf(p, x), pixelsOf(p, node));
    if (isFirstConv(node)) lowerFirstConv(p, convolution, x);
    else lowerConvolution(p, convolution, transformWeights);
  };

/**
 * Chooses the algorithm of a convolution whose input is NHWC: depthwise; grouped, row-wise or as matrix
 * products; Winograd, if the cost model expects it to be the fastest; or direct, as an implicit matrix
 * product.
 * @param transformWeights - for weights that may change. Default: for constant ones.
 */
export function lowerConvolution(
  p: LoweringContext,
  convolution: Convolution,
  transformWeights = transformConstantWeights,
): void {
  const { attrs, kernel, channels, out } = convolution;
  const { groups, padding } = attrs;
  if (groups === out && channels === out && Math.max(...kernel) <= MAX_WINDOW_ROWS) {
    lowerDepthwise(p, convolution);
    return;
  }
  if (groups > 1) {
    const lanes = chooseGroupedRows(p, convolution);
    if (lanes) lowerGroupedRows(p, convolution, lanes);
    else lowerGroupedMatmul(p, convolution);
    return;
  }
  const method = chooseWinograd(p, convolution);
  if (method) {
    lowerWinograd(p, convolution, method, transformWeights);
    return;
  }
  const x = convolution.x();
  const window = directWindow(p, convolution, x, channels);
  const pointwise = kernel[0] * kernel[1] === 1 && padding.every((pixels) => pixels === 0);
  directConvolution(p, convolution, window, x.n * x.h * x.w * x.c * FLOAT, pointwise ? 'gemm' : 'direct');
}
