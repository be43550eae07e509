/** Fully connected layers: matrix products with one row of A for each image. */
import type { Node } from '../../../../graph/graph.js';
import type { LinearAttrs } from '../../../../ops/linear.js';
import { FLOAT } from '../../codegen/kernel.js';
import { extents, type Pixels } from '../../memory/layout.js';
import { weightStrides } from '../data/pack.js';
import { biasOf, type Lowering, pixelsOf } from '../lowering.js';
import { type InnerOrder, matmulPhase, packPanels } from './matmul.js';

export const lowerLinear: Lowering<LinearAttrs> = (p, node) => {
  const [x, weight, bias] = node.inputs as [Node, Node, Node | undefined];
  const [out] = weight.shape as [number, number];
  const [outStride, inStride] = weightStrides(p, weight) as [number, number];
  const input = pixelsOf(p, x);
  const { n, c, h, w, pixelStride, rowStride, imageStride } = input;
  // A flattened image stays in NHWC layout; the weight is packed in that order instead.
  const order: InnerOrder = [
    { count: h, from: w * inStride },
    { count: w, from: inStride },
    { count: c, from: h * w * inStride },
  ];
  const contiguous = pixelStride === c * FLOAT && (h === 1 || rowStride === w * pixelStride);
  const rows: Pixels = {
    ...input,
    n: 1,
    h: 1,
    w: n,
    pixelStride: imageStride,
    rowStride: n * imageStride,
    imageStride: n * imageStride,
  };
  const y = pixelsOf(p, node);
  const { n: images } = extents(node.shape);
  matmulPhase(p, {
    name: 'linear',
    inner: contiguous
      ? { loops: [], run: h * w * c }
      : {
          loops: [
            { count: h, stride: rowStride },
            { count: w, stride: pixelStride },
          ].filter(({ count }) => count > 1),
          run: c,
        },
    columns: out,
    weights: (panel) => packPanels(p, weight, out, panel, order, outStride),
    constant: p.constantValue(weight) !== undefined,
    bias: bias && biasOf(p, bias, out),
    activation: node.attrs.activation,
    x: rows,
    y: {
      ...y,
      n: 1,
      h: 1,
      w: images,
      rowStride: images * y.pixelStride,
      imageStride: images * y.pixelStride,
    },
    inputBytes: n * imageStride,
  });
};
