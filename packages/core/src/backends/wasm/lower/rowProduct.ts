/** Products whose pixels are given call by call: rows of a ring, parts of a picture. */
import type { Activation } from '../../../ops/activation.js';
import { FLOAT, paddedChannels } from '../kernels/kernel.js';
import {
  innerSize,
  type MatrixProduct,
  matrixProduct,
  panelColumns,
  tilingOf,
} from '../kernels/matrixProduct.js';
import type { Pointer } from '../plan/memory.js';
import type { Call, Planner } from '../plan/planner.js';

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
      return {
        kernel: p.kernel('matrix product', product, matrixProduct),
        parameters: [
          x,
          weights.plus(column * size),
          y.plus(column),
          bias?.plus(column) ?? 0,
          residual?.plus(column) ?? 0,
          1,
          large,
          tiles - large,
          Math.min(end, full) - first,
          end > full ? 1 : 0,
        ],
      };
    },
  };
}

/** The largest tile wherever it and one of a row less can make up the pixels, so that most counts share a kernel. */
const tileRowsFor = (pixels: number, largest: number): number =>
  Math.ceil(pixels / largest) * (largest - 1) <= pixels ? largest : tilingOf(pixels, largest).tileRows;
