/**
 * Squeeze-and-excitation (https://arxiv.org/abs/1709.01507) between the depthwise convolution and the
 * projection of a block.
 */
import type { Node } from '../../../../../graph/graph.js';
import type { Conv2dAttrs } from '../../../../../ops/conv2d.js';
import { CHANNEL_BLOCK, FLOAT, paddedChannels } from '../../../codegen/kernel.js';
import { type Pixels, valueAt } from '../../../memory/layout.js';
import type { Pointer } from '../../../memory/region.js';
import type { LoweringContext } from '../../../schedule/context.js';
import type { SqueezeExcitation } from '../../../schedule/fusions.js';
import { weightStrides } from '../../data/pack.js';
import { biasOf, channelGroups, pixelsOf } from '../../lowering.js';
import { matmulPhase, packPanels } from '../../matmul/matmul.js';
import { scalePanels } from '../../matmul/scalePanelsKernel.js';
import { pointwisePhase } from '../../pointwise/pointwise.js';
import { poolArea } from '../../pool/poolKernel.js';
import { lowerConvolution } from '../conv2d.js';
import { convolutionOf } from '../convolution.js';

/**
 * Adds the phases that compute the gates (mean, reduce, expand), scale the channels by them, and project the
 * result. With one image whose projection has at most half as many weights as the value has elements, the
 * gates scale the projection's packed weights instead of the value.
 * @param options.value - output of the depthwise convolution.
 * @param options.sums - sums of the value's rows, row by row, for each channel.
 * @param options.y - output of the projection.
 */
export function squeezeExciteAndProject(
  p: LoweringContext,
  { pool, reduce, gate }: SqueezeExcitation,
  project: Node<Conv2dAttrs>,
  { value, sums, y }: { readonly value: Pixels; readonly sums: Pointer; readonly y: Pixels },
): void {
  const vectorValue = (shape: readonly number[]): Pixels => {
    const [n, c] = shape as [number, number];
    return valueAt(p.workspace(n * paddedChannels(c) * FLOAT), [n, c, 1, 1]) as Pixels;
  };
  const [means, reduced, gates] = [
    vectorValue(pool.shape),
    vectorValue(reduce.shape),
    vectorValue(gate.shape),
  ];
  const mean = p.kernel(poolArea, { reduction: 'mean', row: value.pixelStride, column: 0 });
  const factor = 1 / (value.h * value.w);
  p.parallelFor('mean', channelGroups(value.c), (from, to) =>
    Array.from({ length: value.n }, (_, image) =>
      mean({
        x: sums.plus(image * value.h * value.pixelStride + from * CHANNEL_BLOCK * FLOAT),
        y: means.at.plus(image * means.imageStride + from * CHANNEL_BLOCK * FLOAT),
        rows: value.h,
        columns: 1,
        factor,
        groups: to - from,
      }),
    ),
  );
  lowerConvolution(
    p,
    convolutionOf(p, reduce, () => means, reduced),
  );
  lowerConvolution(
    p,
    convolutionOf(p, gate, () => reduced, gates),
  );
  const scalesValue = y.n > 1 || y.c * 2 > y.h * y.w;
  if (scalesValue) {
    pointwisePhase(
      p,
      'mul',
      [value, { ...gates, h: value.h, w: value.w, rowStride: 0, pixelStride: 0 }],
      value,
    );
    lowerConvolution(
      p,
      convolutionOf(p, project, () => value, y),
    );
    return;
  }
  const [, weight, bias, residual] = project.inputs as [Node, Node, Node | undefined, Node | undefined];
  const [out, channels] = weight.shape as [number, number];
  const [outStride, inStride] = weightStrides(p, weight) as [number, number];
  matmulPhase(p, {
    name: 'gemm',
    inner: { loops: [], run: channels },
    columns: out,
    weights(panel) {
      const packed = packPanels(p, weight, out, panel, [{ count: channels, from: inStride }], outStride);
      const columns = paddedChannels(out);
      const scaledWeights = p.workspace(columns * channels * FLOAT);
      const full = Math.floor(columns / panel);
      const scale = p.kernel(scalePanels, { inner: channels, panel, narrowPanel: columns % panel });
      p.parallelFor('scale weights', Math.ceil(columns / panel), (from, to) => {
        const at = from * panel * channels * FLOAT;
        return [
          scale({
            from: packed.plus(at),
            to: scaledWeights.plus(at),
            factors: gates.at,
            panels: Math.min(to, full) - from,
            narrow: to > full ? 1 : 0,
          }),
        ];
      });
      return scaledWeights;
    },
    bias: bias && biasOf(p, bias, out),
    residual: residual && pixelsOf(p, residual),
    activation: project.attrs.activation,
    x: value,
    y,
    inputBytes: value.n * value.imageStride,
  });
}
