/** Fully connected layers: products with one row for each picture. */
import type { Node } from '../../../../graph/graph.js';
import type { LinearAttrs } from '../../../../ops/linear.js';
import { FLOAT } from '../../codegen/kernel.js';
import { extents, type Pixels } from '../../memory/layout.js';
import { biasOf, type Lowering, pixelsOf, weightStrides } from '../lowering.js';
import { type InnerOrder, packPanels, productPhase } from './matmul.js';

export const lowerLinear: Lowering<LinearAttrs> = (p, node) => {
  const [x, weight, bias] = node.inputs as [Node, Node, Node | undefined];
  const [out] = weight.shape as [number, number];
  const [outStride, inStride] = weightStrides(p, weight) as [number, number];
  const input = pixelsOf(p, x);
  const { n, c, h, w, pixel, row, image } = input;
  // A flattened picture stays as it is, pixel by pixel; the weight is brought into that order instead.
  const order: InnerOrder = [
    { count: h, from: w * inStride },
    { count: w, from: inStride },
    { count: c, from: h * w * inStride },
  ];
  const joined = pixel === c * FLOAT && (h === 1 || row === w * pixel);
  const rows: Pixels = { ...input, n: 1, h: 1, w: n, pixel: image, row: n * image, image: n * image };
  const y = pixelsOf(p, node);
  const { n: pictures } = extents(node.shape);
  productPhase(p, {
    name: 'linear',
    inner: joined
      ? { loops: [], run: h * w * c }
      : {
          loops: [
            { count: h, stride: row },
            { count: w, stride: pixel },
          ].filter(({ count }) => count > 1),
          run: c,
        },
    columns: out,
    weights: (panel) => packPanels(p, weight, out, panel, order, outStride),
    constant: p.constant(weight) !== undefined,
    bias: bias && biasOf(p, bias, out),
    activation: node.attrs.activation,
    x: rows,
    y: { ...y, n: 1, h: 1, w: pictures, row: pictures * y.pixel, image: pictures * y.pixel },
    inputBytes: n * image,
  });
};
