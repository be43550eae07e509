/**
 * Weight gradient of a convolution: dw[out][in][tap] = sum over output pixels of dy[out] * (x[in] under the
 * tap). Chooses depthwise, Winograd or direct; the direct one is a transposed matrix product whose inner
 * dimension is the output pixels.
 */
import type { Node } from '../../../../graph/graph.js';
import type { Conv2dGradAttrs } from '../../../../ops/conv2d.js';
import { CACHE_LINE, FLOAT, paddedChannels } from '../../codegen/kernel.js';
import { MAX_WINDOW_ROWS } from '../../codegen/windowRow.js';
import { type Pixels, stridesOf } from '../../memory/layout.js';
import type { LoweringContext } from '../../schedule/context.js';
import { copyLoops, copyPhaseOf, zeroPhase } from '../data/copy.js';
import { paddedExtents, padPixels } from '../data/padding.js';
import { type Lowering, pixelsOf } from '../lowering.js';
import { panelColumns } from '../matmul/matmulKernel.js';
import { type RowLoop, transposedMatmuls } from '../matmul/transposedMatmul.js';
import { sumPartsPhase } from '../reduce/sumParts.js';
import { fastestWeightGradient } from './costModel.js';
import { lowerDepthwiseWeightGradient } from './depthwise/depthwiseWeightGradient.js';
import type { WinogradMethod } from './winograd/transforms.js';
import { lowerWinogradWeightGradient } from './winograd/weightGradient.js';

export const lowerConv2dGradWeight: Lowering<Conv2dGradAttrs> = (p, node) => {
  const [gradient, input] = node.inputs as [Node, Node];
  const { stride, dilation, padding, groups, shape } = node.attrs;
  const [out, perGroup, ...kernel] = shape as [number, number, number, number];
  const [kernelRows, kernelColumns] = kernel;
  if (groups === out && perGroup === 1 && Math.max(...kernel) <= MAX_WINDOW_ROWS) {
    lowerDepthwiseWeightGradient(p, node);
    return;
  }
  const dy = pixelsOf(p, gradient);
  const method = chooseWinogradWeightGradient(p, node, dy);
  if (method) {
    const [top, left] = padding;
    lowerWinogradWeightGradient(p, { x: pixelsOf(p, input), dy, top, left, to: p.value(node).at }, method);
    return;
  }
  const outEach = out / groups;
  const inputExtents = paddedExtents(node.attrs, kernel, dy);
  // The taps of a row are one contiguous run if the pixels of x have no gaps between them.
  const canFuseTaps = groups === 1 && dilation[1] === 1 && kernelColumns > 1;
  const x =
    canFuseTaps && perGroup !== paddedChannels(perGroup)
      ? padWithoutGaps(p, input, padding, inputExtents)
      : padPixels(
          p,
          pixelsOf(p, input),
          padding,
          inputExtents,
          conflictFreePixelStride(perGroup * groups, outEach),
        );
  const fusedTaps = canFuseTaps && x.pixelStride === perGroup * FLOAT;
  const rows: readonly RowLoop[] = [
    { count: dy.n, a: x.imageStride, b: dy.imageStride },
    { count: dy.h, a: stride[0] * x.rowStride, b: dy.rowStride },
    { count: dy.w, a: stride[1] * x.pixelStride, b: dy.pixelStride },
  ];
  const matmuls = Array.from({ length: groups }, (_, group) => {
    const at = x.at.plus(group * perGroup * FLOAT);
    const taps: Pixels = {
      kind: 'pixels',
      at,
      c: 1,
      pixelStride: FLOAT,
      ...(fusedTaps
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
  const parts = transposedMatmuls(p, matmuls);
  const taps = kernelRows * kernelColumns;
  const row = paddedChannels(outEach) * FLOAT;
  sumPartsPhase(
    p,
    parts,
    p.value(node).at,
    matmuls.map((_, group) => ({
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

/**
 * Returns the Winograd algorithm that the cost model expects to be the fastest; undefined if that is the
 * direct weight gradient or if the convolution is not 3x3 with stride 1 or 2, undilated and ungrouped, with
 * at least 16 input and output channels in whole panels.
 */
function chooseWinogradWeightGradient(
  p: LoweringContext,
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
  return suits
    ? fastestWeightGradient(p.engine, { n, h, w, channels, out: c, stride: stride[0] })
    : undefined;
}

/** Minimum number of output channels for which copying the input pays. */
const MIN_COPY_COLUMNS = 32;

/**
 * Returns an odd number of cache lines, in bytes, if the stride of padded channels is an even number of them;
 * else undefined. A matrix product over pixels reads the same channels of consecutive pixels, and at a
 * multiple of a power of two they would map to a few sets of the first-level cache (5 % slower).
 */
function conflictFreePixelStride(channels: number, columns: number): number | undefined {
  const lines = (paddedChannels(channels) * FLOAT) / CACHE_LINE;
  return lines >= 2 && lines % 2 === 0 && columns >= MIN_COPY_COLUMNS ? (lines + 1) * CACHE_LINE : undefined;
}

/**
 * Copies the input with zero padding and without gaps between pixels, so that the taps of a row are
 * contiguous.
 */
function padWithoutGaps(
  p: LoweringContext,
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
