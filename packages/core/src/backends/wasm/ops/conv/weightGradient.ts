/** The gradient of a convolution with respect to its weight: for each tap of the window, x under it times dy, summed over all pixels. */
import type { Node } from '../../../../graph/graph.js';
import type { Conv2dGradAttrs } from '../../../../ops/conv2d.js';
import { CACHE_LINE, FLOAT, paddedChannels } from '../../codegen/kernel.js';
import { type Pixels, stridesOf } from '../../memory/layout.js';
import type { Planner } from '../../schedule/planner.js';
import { copyLoops, copyPhaseOf, zeroPhase } from '../data/copy.js';
import { paddedExtents, padPixels } from '../data/padding.js';
import { type Lowering, pixelsOf } from '../lowering.js';
import { panelColumns } from '../matmul/matmulKernel.js';
import { type RowLoop, transposedMatmuls } from '../matmul/transposedMatmul.js';
import { sumPartsPhase } from '../reduce/sumParts.js';
import { fastestGradient } from './costModel.js';
import { MOST_ROWS } from './depthwise/depthwiseKernel.js';
import { lowerDepthwiseGradWeight } from './depthwise/weightGradient.js';
import type { WinogradMethod } from './winograd/transforms.js';
import { winogradWeightPhases } from './winograd/weightGradient.js';

export const lowerConv2dGradWeight: Lowering<Conv2dGradAttrs> = (p, node) => {
  const [gradient, input] = node.inputs as [Node, Node];
  const { stride, dilation, padding, groups, shape } = node.attrs;
  const [out, perGroup, ...kernel] = shape as [number, number, number, number];
  const [kernelRows, kernelColumns] = kernel;
  if (groups === out && perGroup === 1 && Math.max(...kernel) <= MOST_ROWS) {
    lowerDepthwiseGradWeight(p, node);
    return;
  }
  const dy = pixelsOf(p, gradient);
  const method = chooseWinogradWeight(p, node, dy);
  if (method) {
    const [top, left] = padding;
    winogradWeightPhases(p, { x: pixelsOf(p, input), dy, top, left, to: p.value(node).at }, method);
    return;
  }
  const outEach = out / groups;
  const touched = paddedExtents(node.attrs, kernel, dy);
  const join = groups === 1 && dilation[1] === 1 && kernelColumns > 1;
  const x =
    join && perGroup !== paddedChannels(perGroup)
      ? closePixels(p, input, padding, touched)
      : padPixels(p, pixelsOf(p, input), padding, touched, spacing(perGroup * groups, outEach));
  const joined = join && x.pixelStride === perGroup * FLOAT;
  const rows: readonly RowLoop[] = [
    { count: dy.n, a: x.imageStride, b: dy.imageStride },
    { count: dy.h, a: stride[0] * x.rowStride, b: dy.rowStride },
    { count: dy.w, a: stride[1] * x.pixelStride, b: dy.pixelStride },
  ];
  const products = Array.from({ length: groups }, (_, group) => {
    const at = x.at.plus(group * perGroup * FLOAT);
    const taps: Pixels = {
      kind: 'pixels',
      at,
      c: 1,
      pixelStride: FLOAT,
      ...(joined
        ? {
            n: 1,
            h: kernelRows,
            w: kernelColumns * perGroup,
            imageStride: 0,
            rowStride: dilation[0] * x.rowStride,
          }
        : {
            n: kernelRows,
            h: kernelColumns,
            w: perGroup,
            imageStride: dilation[0] * x.rowStride,
            rowStride: dilation[1] * x.pixelStride,
          }),
    };
    return { rows, a: taps, b: dy.at.plus(group * outEach * FLOAT), columns: outEach };
  });
  const parts = transposedMatmuls(p, products);
  const taps = kernelRows * kernelColumns;
  const row = paddedChannels(outEach) * FLOAT;
  sumPartsPhase(
    p,
    parts,
    p.value(node).at,
    products.map((_, group) => ({
      from: group * taps * perGroup * row,
      to: group * outEach * perGroup * taps * FLOAT,
    })),
    {
      channels: perGroup,
      taps,
      columns: outEach,
      from: { channel: row, tap: perGroup * row },
      to: { channel: taps * FLOAT, tap: FLOAT, column: perGroup * taps * FLOAT },
    },
  );
};

/** The instance of Winograd's method that is possible and expected to be fastest; undefined for the direct way. */
function chooseWinogradWeight(
  p: Planner,
  { attrs }: Node<Conv2dGradAttrs>,
  { n, c, h, w }: Pixels,
): WinogradMethod | undefined {
  const { stride, dilation, groups, shape } = attrs;
  const [, channels, ...kernel] = shape as [number, number, number, number];
  const suits =
    kernel.every((extent) => extent === 3) &&
    stride[0] === stride[1] &&
    stride[0] <= 2 &&
    [...dilation, groups].every((value) => value === 1) &&
    channels >= 16 &&
    c >= 16 &&
    paddedChannels(c) % panelColumns(p.engine, p.engine.tileRows, paddedChannels(c)) === 0;
  return suits ? fastestGradient(p.engine, { n, h, w, channels, out: c, stride: stride[0] }) : undefined;
}

/** Output channels that pay for a copy of the input. */
const WORTH_A_COPY = 32;

/**
 * How far the pixels of many channels lie apart: an odd number of cache lines. A product over pixels reads the
 * same channels of one after the other, and at a multiple of a power of two they would all fall into a few
 * sets of the first-level cache (5 % slower).
 */
function spacing(channels: number, columns: number): number | undefined {
  const lines = (paddedChannels(channels) * FLOAT) / CACHE_LINE;
  return lines >= 2 && lines % 2 === 0 && columns >= WORTH_A_COPY ? (lines + 1) * CACHE_LINE : undefined;
}

/** The padded input with no room between its pixels, so that the taps of a row are one run. */
function closePixels(
  p: Planner,
  input: Node,
  [top, left]: Conv2dGradAttrs['padding'],
  [height, width]: readonly [number, number],
): Pixels {
  const [n, c, h, w] = input.shape as [number, number, number, number];
  const pixel = c * FLOAT;
  const row = width * pixel;
  const image = height * row;
  const at = p.workspace(n * image);
  const [rows, columns] = [Math.min(h, height - top), Math.min(w, width - left)];
  const value = p.value(input);
  const strides = [image, FLOAT, row, pixel].map((bytes) => bytes / FLOAT);
  p.setAlgorithm('pad');
  if (n * rows * columns * pixel < n * image) zeroPhase(p, at, n * image);
  copyPhaseOf(
    p,
    value.at,
    at.plus(top * row + left * pixel),
    copyLoops([n, c, rows, columns], stridesOf(value, input.shape), strides),
  );
  return {
    kind: 'pixels',
    at,
    n,
    c,
    h: height,
    w: width,
    imageStride: image,
    rowStride: row,
    pixelStride: pixel,
  };
}
