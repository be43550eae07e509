/** Squeeze-and-excitation inside a block, between its depthwise convolution and its projection. */
import type { Node } from '../../../../../graph/graph.js';
import type { Conv2dAttrs } from '../../../../../ops/conv2d.js';
import { CHANNEL_BLOCK, FLOAT, paddedChannels } from '../../../codegen/kernel.js';
import { type Pixels, valueAt } from '../../../memory/layout.js';
import type { Pointer } from '../../../memory/region.js';
import type { SqueezeExcitation } from '../../../schedule/fusions.js';
import type { Planner } from '../../../schedule/planner.js';
import { weightStrides } from '../../data/pack.js';
import { biasOf, channelGroups, pixelsOf } from '../../lowering.js';
import { matmulPhase, packPanels } from '../../matmul/matmul.js';
import { scalePanels } from '../../matmul/scalePanelsKernel.js';
import { pointwisePhase } from '../../pointwise/pointwise.js';
import { poolArea } from '../../pool/poolKernel.js';
import { lowerConvolution } from '../conv2d.js';
import { convolutionOf } from '../convolution.js';

/** The gates from the sums of the value's rows, and the projection of what they scale. */
export function projectSqueezed(
  p: Planner,
  { pool, reduce, gate }: SqueezeExcitation,
  project: Node<Conv2dAttrs>,
  { value, sums, y }: { readonly value: Pixels; readonly sums: Pointer; readonly y: Pixels },
): void {
  const rowValue = (shape: readonly number[]): Pixels => {
    const [n, c] = shape as [number, number];
    return valueAt(p.workspace(n * paddedChannels(c) * FLOAT), [n, c, 1, 1]) as Pixels;
  };
  const [means, reduced, gates] = [rowValue(pool.shape), rowValue(reduce.shape), rowValue(gate.shape)];
  const mean = p.kernel(poolArea, { reduction: 'mean', row: value.pixelStride, column: 0 });
  const factor = 1 / (value.h * value.w);
  p.parallelFor(channelGroups(value.c), (from, to) =>
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
  const scaledInput = y.n > 1 || y.c * 2 > y.h * y.w;
  if (scaledInput) {
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
      const scaled = p.workspace(columns * channels * FLOAT);
      const full = Math.floor(columns / panel);
      const scale = p.kernel(scalePanels, { inner: channels, panel, narrowPanel: columns % panel });
      p.parallelFor(Math.ceil(columns / panel), (from, to) => {
        const at = from * panel * channels * FLOAT;
        return [
          scale({
            from: packed.plus(at),
            to: scaled.plus(at),
            factors: gates.at,
            panels: Math.min(to, full) - from,
            narrow: to > full ? 1 : 0,
          }),
        ];
      });
      return scaled;
    },
    bias: bias && biasOf(p, bias, out),
    residual: residual && pixelsOf(p, residual),
    activation: project.attrs.activation,
    x: value,
    y,
    inputBytes: value.n * value.imageStride,
  });
}
