/** Gradients of fully connected layers: dx = dy W, and dW = dy^T x, a sum over the rows of a batch. */
import type { Node } from '../../../../graph/graph.js';
import type { MatmulAttrs } from '../../../../ops/linear.js';
import { FLOAT, paddedChannels } from '../../codegen/kernel.js';
import { type Pixels, stridesOf, valueAt } from '../../memory/layout.js';
import type { LoweringContext } from '../../schedule/context.js';
import { copyLoops, copyPhaseOf } from '../data/copy.js';
import { weightStrides } from '../data/pack.js';
import { type Lowering, pixelsOf } from '../lowering.js';
import { sumPartsPhase } from '../reduce/sumParts.js';
import { matmulPhase, packPanels } from './matmul.js';
import { transposedMatmuls } from './transposedMatmul.js';

export const lowerMatmul: Lowering<MatmulAttrs> = (p, node) => {
  if (node.attrs.transposeA) lowerTransposed(p, node);
  else lowerPlain(p, node);
};

/** y = a b, with b optionally transposed. */
function lowerPlain(p: LoweringContext, node: Node<MatmulAttrs>): void {
  const [a, b] = node.inputs as [Node, Node];
  const [columns] = node.shape.slice(1) as [number];
  const [x, y] = [pixelsOf(p, a), pixelsOf(p, node)];
  const [rowStride, columnStride] = weightStrides(p, b) as [number, number];
  const [inStride, outStride] = node.attrs.transposeB ? [columnStride, rowStride] : [rowStride, columnStride];
  const inner = x.c;
  const row = (value: Pixels): Pixels => ({
    ...value,
    n: 1,
    h: 1,
    w: value.n,
    pixelStride: value.imageStride,
    rowStride: value.n * value.imageStride,
    imageStride: value.n * value.imageStride,
  });
  matmulPhase(p, {
    name: 'linear',
    inner: { loops: [], run: inner },
    columns,
    weights: (panel) => packPanels(p, b, columns, panel, [{ count: inner, from: inStride }], outStride),
    x: row(x),
    y: row(y),
    inputBytes: x.n * x.imageStride,
  });
}

/** y = a^T b, with b optionally transposed. */
function lowerTransposed(p: LoweringContext, node: Node<MatmulAttrs>): void {
  const [a, b] = node.inputs as [Node, Node];
  const [rows, columns] = node.shape as [number, number];
  const x = pixelsOf(p, a);
  const z = node.attrs.transposeB ? transposed(p, b) : pixelsOf(p, b);
  const y = p.value(node).at;
  const direct = columns === paddedChannels(columns) ? y : undefined;
  const parts = transposedMatmuls(
    p,
    [
      {
        rows: [{ count: x.n, a: x.imageStride, b: z.imageStride }],
        a: {
          ...x,
          n: 1,
          c: 1,
          h: 1,
          w: rows,
          pixelStride: FLOAT,
          rowStride: rows * FLOAT,
          imageStride: rows * FLOAT,
        },
        b: z.at,
        columns,
      },
    ],
    direct,
  );
  if (parts.at === direct) return;
  sumPartsPhase(p, parts, y, [{ from: 0, to: 0 }], {
    channels: rows,
    taps: 1,
    columns,
    from: { channel: paddedChannels(columns) * FLOAT, tap: 0 },
    to: { channel: columns * FLOAT, tap: 0, column: FLOAT },
  });
}

/** Copies the transpose of a matrix into a workspace. */
function transposed(p: LoweringContext, node: Node): Pixels {
  const [rows, columns] = node.shape as [number, number];
  const shape = [columns, rows];
  const at = p.workspace(columns * paddedChannels(rows) * FLOAT);
  const result = valueAt(at, shape) as Pixels;
  const value = p.value(node);
  const [row, column] = stridesOf(value, node.shape) as [number, number];
  copyPhaseOf(p, value.at, at, copyLoops(shape, [column, row], stridesOf(result, shape)));
  return result;
}
