/** Products whose pixels are given call by call: rows of a ring, parts of a picture. */
import type { Node } from '../../../../graph/graph.js';
import type { Activation } from '../../../../ops/activation.js';
import type { Conv2dAttrs } from '../../../../ops/conv2d.js';
import { sizeOf } from '../../../../tensor/shape.js';
import { FLOAT, paddedChannels } from '../../codegen/kernel.js';
import type { Pixels } from '../../memory/layout.js';
import type { Pointer } from '../../memory/region.js';
import type { Call, Planner } from '../../schedule/planner.js';
import { biasOf, weightStrides } from '../lowering.js';
import { packPanels } from './matmul.js';
import { innerSize, type MatrixProduct, matrixProduct, panelColumns, tilingOf } from './matmulKernel.js';

/** Weights above this are read from the shared cache again and again where products are called for a few rows. */
export const LARGE_WEIGHTS = 256 * 1024;

/** A product as a part of a block sees it. Strides are in bytes. */
export interface RowLayer {
  readonly inner: MatrixProduct['inner'];
  readonly columns: number;
  /** Gives the weights in panels of this many columns. */
  readonly weights: (panel: number) => Pointer;
  readonly bias?: Pointer;
  readonly activation?: Activation;
  /** Whether the weights come from memory: see `MatrixProduct`. */
  readonly streamed?: boolean;
  /** From one pixel to the next in x, y and the residual (0: there is none). */
  readonly pixel: { readonly a: number; readonly c: number; readonly residual: number };
}

/** A product whose weights are there. */
export interface RowProduct {
  readonly algorithm: string;
  /** Panels of weights, and how many columns a panel has. */
  readonly panels: number;
  readonly panel: number;
  /** Makes some pixels next to each other, all columns or those of some panels. */
  readonly call: (
    pixels: number,
    x: Pointer,
    y: Pointer,
    options?: { readonly residual?: Pointer; readonly panels?: readonly [from: number, to: number] },
  ) => Call;
}

export function planRowProduct(p: Planner, layer: RowLayer): RowProduct {
  const { inner, columns, bias, activation, pixel } = layer;
  const largest = p.engine.tileRows;
  const padded = paddedChannels(columns);
  const panel = panelColumns(p.engine, largest, padded);
  const panels = Math.ceil(padded / panel);
  const weights = layer.weights(panel);
  const size = innerSize(layer);
  const full = Math.floor(padded / panel);
  return {
    algorithm: `${largest}x${panel}`,
    panels,
    panel,
    call(pixels, x, y, { residual, panels: [first, end] = [0, panels] } = {}) {
      const product: MatrixProduct = {
        inner,
        tileRows: tileRowsFor(pixels, largest),
        panel,
        narrowPanel: padded % panel,
        pixel,
        row: { a: 0, c: 0, residual: 0 },
        bias: bias !== undefined,
        residual: pixel.residual > 0,
        activation,
        streamed: layer.streamed,
      };
      const tiles = Math.ceil(pixels / product.tileRows);
      const large = pixels - (product.tileRows - 1) * tiles;
      const column = first * panel * FLOAT;
      const multiply = p.kernel(matrixProduct, product);
      return multiply({
        a: x,
        b: weights.plus(column * size),
        c: y.plus(column),
        bias: bias?.plus(column),
        residual: residual?.plus(column),
        rows: 1,
        large,
        small: tiles - large,
        panels: Math.min(end, full) - first,
        narrow: end > full ? 1 : 0,
      });
    },
  };
}

/** The largest tile wherever it and one of a row less can make up the pixels, so that most counts share a kernel. */
const tileRowsFor = (pixels: number, largest: number): number =>
  Math.ceil(pixels / largest) * (largest - 1) <= pixels ? largest : tilingOf(pixels, largest).tileRows;

/** A 1x1 convolution as such a product. */
export function pointwiseProduct(
  p: Planner,
  node: Node<Conv2dAttrs>,
  pixel: { readonly a: number; readonly c: number; readonly residual: number },
): RowProduct {
  const [, weight, bias] = node.inputs as [Node, Node, Node | undefined];
  const [out, channels] = weight.shape as [number, number];
  const [outStride, inStride] = weightStrides(p, weight) as [number, number];
  return planRowProduct(p, {
    inner: { loops: [], run: channels },
    columns: out,
    weights: (panel) => packPanels(p, weight, out, panel, [{ count: channels, from: inStride }], outStride),
    bias: bias && biasOf(p, bias, out),
    activation: node.attrs.activation,
    streamed: sizeOf(weight.shape) * FLOAT > LARGE_WEIGHTS,
    pixel,
  });
}

/** Rows of a picture, from the first of them. Distances are in bytes. */
export interface Rows {
  readonly at: Pointer;
  readonly row: number;
  readonly pixel: number;
}

/** Calls that make the pixels of some rows of a picture, in one if they lie one after the other. */
export function productOfRows(
  { call }: RowProduct,
  rows: number,
  width: number,
  x: Rows,
  y: Rows,
  options: { readonly residual?: Pixels; readonly panels?: readonly [number, number] } = {},
): Call[] {
  const { residual, panels } = options;
  const joined = [x, y, ...(residual ? [residual] : [])].every(({ row, pixel }) => row === width * pixel);
  const [count, pixels] = joined ? [1, rows * width] : [rows, width];
  return Array.from({ length: count }, (_, i) =>
    call(pixels, x.at.plus(i * x.row), y.at.plus(i * y.row), {
      residual: residual?.at.plus(i * residual.row),
      panels,
    }),
  );
}
