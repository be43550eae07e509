/**
 * Input gradient of a convolution: convolutions of dy with the same weights, rotated by 180 degrees and with
 * input and output channels exchanged.
 */
import type { Node } from '../../../../graph/graph.js';
import type { Conv2dGradAttrs } from '../../../../ops/conv2d.js';
import { FLOAT } from '../../codegen/kernel.js';
import type { Pixels } from '../../memory/layout.js';
import type { LoweringContext } from '../../schedule/context.js';
import { copyLoops, copyPhaseOf } from '../data/copy.js';
import { weightStrides } from '../data/pack.js';
import { type Lowering, pixelsOf, zeros } from '../lowering.js';
import { lowerConvolution } from './conv2d.js';
import type { Convolution } from './convolution.js';
import { directSeconds, winogradSeconds } from './costModel.js';
import { transformWeights } from './winograd/changingWeights.js';
import { lowerWinograd } from './winograd/winograd.js';

/**
 * One phase of the polyphase decomposition of a strided convolution along one axis: every stride-th position
 * of dx, which the same taps reach. Each of the `stride` phases is a convolution of stride 1 with a subset of
 * the taps.
 */
interface StridePhase {
  /** First position, and number of positions. */
  readonly first: number;
  readonly count: number;
  /** Number of taps, index of the last one, and distance between two. */
  readonly taps: number;
  readonly lastTap: number;
  readonly tapStep: number;
  /** Distance in dy between the values of neighbouring taps. */
  readonly dilation: number;
  /** Zeros before dy. If negative, the number of leading values of dy that no position reads. */
  readonly before: number;
}

const greatestCommonDivisor = (a: number, b: number): number =>
  b === 0 ? a : greatestCommonDivisor(b, a % b);

/** Returns the phases of an axis. dx[i] receives dy[y] * w[k] if i + padding = y * stride + k * dilation. */
export function stridePhases(
  extent: number,
  kernel: number,
  {
    stride,
    dilation,
    padding,
  }: { readonly stride: number; readonly dilation: number; readonly padding: number },
): readonly StridePhase[] {
  const common = greatestCommonDivisor(stride, dilation);
  return Array.from({ length: Math.min(stride, extent) }, (_, first): StridePhase => {
    const taps = Array.from({ length: kernel }, (_, tap) => tap).filter(
      (tap) => (((first + padding - tap * dilation) % stride) + stride) % stride === 0,
    );
    const lastTap = taps.at(-1) ?? 0;
    return {
      first,
      count: Math.ceil((extent - first) / stride),
      taps: taps.length,
      lastTap,
      tapStep: stride / common,
      dilation: dilation / common,
      before: (lastTap * dilation - first - padding) / stride,
    };
  });
}

export const lowerConv2dGradInput: Lowering<Conv2dGradAttrs> = (p, node) => {
  const [gradient, weight] = node.inputs as [Node, Node];
  const { stride, dilation, padding, groups } = node.attrs;
  const [out, perGroup, kernelRows, kernelColumns] = weight.shape as [number, number, number, number];
  const [dy, dx] = [pixelsOf(p, gradient), pixelsOf(p, node)];
  const [outStride, inStride, row, column] = weightStrides(p, weight) as [number, number, number, number];
  const along = (axis: 0 | 1) => ({
    stride: stride[axis],
    dilation: dilation[axis],
    padding: padding[axis],
  });
  const transposed: Convolution = {
    attrs: { stride: [1, 1], dilation: [1, 1], padding: [0, 0, 0, 0], groups },
    x: () => dy,
    y: dx,
    weight,
    order: {
      start: (kernelRows - 1) * row + (kernelColumns - 1) * column,
      group: (out / groups) * outStride,
      out: inStride,
      in: outStride,
      row: -row,
      column: -column,
    },
    channels: out,
    out: perGroup * groups,
    kernel: [kernelRows, kernelColumns],
  };
  if (winogradPays(p, node.attrs, transposed)) {
    lowerWinograd(p, transposed, 'f4x4TransposedStride2', transformWeights);
    return;
  }
  for (const rows of stridePhases(dx.h, kernelRows, along(0)))
    for (const columns of stridePhases(dx.w, kernelColumns, along(1))) {
      const y: Pixels = {
        ...dx,
        at: dx.at.plus(rows.first * dx.rowStride + columns.first * dx.pixelStride),
        h: rows.count,
        w: columns.count,
        rowStride: dx.rowStride * stride[0],
        pixelStride: dx.pixelStride * stride[1],
      };
      const [top, left] = [Math.max(0, rows.before), Math.max(0, columns.before)];
      const x: Pixels = {
        ...dy,
        at: dy.at.plus(
          Math.max(0, -rows.before) * dy.rowStride + Math.max(0, -columns.before) * dy.pixelStride,
        ),
        h: Math.min(dy.h, dy.h + rows.before),
        w: Math.min(dy.w, dy.w + columns.before),
      };
      if (rows.taps * columns.taps === 0 || x.h <= 0 || x.w <= 0) {
        zeroPixels(p, y);
        continue;
      }
      const after = ({ count, taps, dilation: step }: StridePhase, before: number, extent: number): number =>
        Math.max(0, count + (taps - 1) * step - before - extent);
      const convolution: Convolution = {
        ...transposed,
        attrs: {
          ...transposed.attrs,
          dilation: [rows.dilation, columns.dilation],
          padding: [top, left, after(rows, top, x.h), after(columns, left, x.w)],
        },
        x: () => x,
        y,
        order: {
          ...transposed.order,
          start: rows.lastTap * row + columns.lastTap * column,
          row: -rows.tapStep * row,
          column: -columns.tapStep * column,
        },
        kernel: [rows.taps, columns.taps],
      };
      lowerConvolution(p, convolution, transformWeights);
    }
};

/**
 * True if Winograd computes all phases of a 3x3 convolution with stride 2 at once, and faster than direct
 * convolutions.
 */
function winogradPays(
  p: LoweringContext,
  { stride, dilation, padding: [top, left], groups }: Conv2dGradAttrs,
  { kernel, order, channels, out, weight, y: { n, h, w } }: Convolution,
): boolean {
  const suits =
    [...kernel, 3 * Math.abs(order.column), Math.abs(order.row)].every((extent) => extent === 3) &&
    stride.every((value) => value === 2) &&
    [...dilation, groups, top, left].every((value) => value === 1) &&
    channels >= 16 &&
    out >= 16;
  const cost = { n, h, w, channels, out, changing: !p.constantValue(weight) };
  return (
    suits &&
    winogradSeconds(p.engine, 'f4x4TransposedStride2', cost) < directSeconds(p.engine, (n * h * w) / 4, cost)
  );
}

/** Sets positions that no tap reaches to zero. */
function zeroPixels(p: LoweringContext, y: Pixels): void {
  const strides = [y.imageStride, y.rowStride, y.pixelStride, FLOAT].map((bytes) => bytes / FLOAT);
  copyPhaseOf(p, zeros(p, y.c), y.at, copyLoops([y.n, y.h, y.w, y.c], [0, 0, 0, 1], strides));
}
