/** Fully connected layers: products with one row for each picture. */
import type { Node } from '../../../../graph/graph.js';
import type { LinearAttrs } from '../../../../ops/linear.js';
import { FLOAT } from '../../codegen/kernel.js';
import { extents, type Pixels } from '../../memory/layout.js';
import { biasOf, type Lowering, pixelsOf, weightStrides } from '../lowering.js';
import { type InnerOrder, matmulPhase, packPanels } from './matmul.js';

export const lowerLinear: Lowering<LinearAttrs> = (p, node) => {
  const [x, weight, bias] = node.inputs as [Node, Node, Node | undefined];
  const [out] = weight.shape as [number, number];
  const [outStride, inStride] = weightStrides(p, weight) as [number, number];
  const input = pixelsOf(p, x);
  const { n, c, h, w, pixelStride, rowStride, imageStride } = input;
  // A flattened picture stays as it is, pixel by pixel; the weight is brought into that order instead.
  const order: InnerOrder = [
    { count: h, from: w * inStride },
    { count: w, from: inStride },
    { count: c, from: h * w * inStride },
  ];
  const joined = pixelStride === c * FLOAT && (h === 1 || rowStride === w * pixelStride);
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
  const { n: pictures } = extents(node.shape);
  matmulPhase(p, {
    name: 'linear',
    inner: joined
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
      w: pictures,
      rowStride: pictures * y.pixelStride,
      imageStride: pictures * y.pixelStride,
    },
    inputBytes: n * imageStride,
  });
};
