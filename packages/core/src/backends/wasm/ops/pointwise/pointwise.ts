/** Pointwise ops: sums, products with broadcasting, activations. */
import type { Node } from '../../../../graph/graph.js';
import type { Activation } from '../../../../ops/activation.js';
import type { AddAttrs } from '../../../../ops/arithmetic.js';
import { sameShape } from '../../../../tensor/shape.js';
import { CHANNEL_BLOCK, FLOAT, paddedChannels } from '../../codegen/kernel.js';
import {
  denseFloats,
  extents,
  isPixelShape,
  type Pixels,
  pixelRuns,
  storedFloats,
} from '../../memory/layout.js';
import type { Pointer } from '../../memory/region.js';
import type { LoweringContext } from '../../schedule/context.js';
import { copyLoops, copyPhaseOf } from '../data/copy.js';
import { channelGroups, type Lowering, parallelForPixels, pixelsOf } from '../lowering.js';
import { broadcastStrides } from './broadcast.js';
import { type PointwiseFunction, pointwiseKernel } from './pointwiseKernel.js';

export const lowerActivation: Lowering<Activation> = (p, node) => lowerPointwise(p, node, 'copy', node.attrs);

export const lowerAdd: Lowering<AddAttrs> = (p, node) =>
  lowerPointwise(p, node, 'add', node.attrs.activation);

/** Copies the input of an op that is the identity in inference, where the result cannot alias it. */
export const lowerNeutral: Lowering<object> = (p, node) => lowerPointwise(p, node, 'copy');

function lowerPointwise(
  p: LoweringContext,
  node: Node,
  compute: PointwiseFunction,
  activation?: Activation,
): void {
  if (p.value(node).kind === 'pixels') {
    pointwisePhase(
      p,
      compute,
      node.inputs.map((input) => pixelsOf(p, input)),
      pixelsOf(p, node),
      activation,
    );
    return;
  }
  contiguousPhase(
    p,
    compute,
    node.inputs.map((input) => p.value(input).at),
    p.value(node).at,
    denseFloats(node.shape),
    activation,
  );
}

/** Adds a pointwise phase over contiguous values of the same layout. */
function contiguousPhase(
  p: LoweringContext,
  compute: PointwiseFunction,
  operands: readonly Pointer[],
  y: Pointer,
  floats: number,
  activation?: Activation,
): void {
  const shape = { compute, operands: operands.map(() => ({ pixel: 0 })), pixel: 0, activation };
  const call = p.kernel(pointwiseKernel, shape);
  p.parallelFor('elementwise', floats / CHANNEL_BLOCK, (from, to) => {
    const at = (pointer: Pointer) => pointer.plus(from * CHANNEL_BLOCK * FLOAT);
    return [call({ y: at(y), operands: operands.map(at), pixels: 1, groups: to - from })];
  });
}

/**
 * Adds a pointwise phase over pixels.
 * @param operands - values with the extents of y; their strides are zero along axes where they are broadcast, and
 * `scalar` is true if they are broadcast along the channels.
 */
export function pointwisePhase(
  p: LoweringContext,
  compute: PointwiseFunction,
  operands: readonly (Pixels & { readonly scalar?: boolean })[],
  y: Pixels,
  activation?: Activation,
): void {
  const runs = pixelRuns(y, ...operands);
  const packed = paddedChannels(y.c) * FLOAT;
  const sameStride =
    [y, ...operands].every(({ pixelStride }) => pixelStride === packed) &&
    !operands.some(({ scalar }) => scalar);
  if (runs.count === 1 && sameStride) {
    contiguousPhase(
      p,
      compute,
      operands.map(({ at }) => at),
      y.at,
      (runs.pixels * packed) / FLOAT,
      activation,
    );
    return;
  }
  const call = p.kernel(pointwiseKernel, {
    compute,
    operands: operands.map(({ pixelStride, scalar }) => ({ pixel: pixelStride, scalar })),
    pixel: y.pixelStride,
    activation,
  });
  const groups = channelGroups(y.c);
  parallelForPixels(p, 'elementwise', runs, (run, first, pixels) => {
    const at = (value: Pixels) => runs.at(value, run, first);
    return call({ y: at(y), operands: operands.map(at), pixels, groups });
  });
}

/** y = a * b, with b broadcast along the axes where it has one element. */
export const lowerMul: Lowering<object> = (p, node) => {
  const [a, b] = node.inputs as [Node, Node];
  if (sameShape(a.shape, b.shape)) {
    lowerPointwise(p, node, 'mul');
    return;
  }
  if (isPixelShape(node.shape)) {
    const y = pixelsOf(p, node);
    const small = pixelsOf(p, b);
    const broadcast: Pixels & { readonly scalar: boolean } = {
      ...small,
      ...extents(node.shape),
      imageStride: small.n === 1 ? 0 : small.imageStride,
      rowStride: small.h === 1 ? 0 : small.rowStride,
      pixelStride: small.w === 1 ? 0 : small.pixelStride,
      scalar: small.c === 1 && y.c > 1,
    };
    pointwisePhase(p, 'mul', [pixelsOf(p, a), broadcast], y);
    return;
  }
  const broadcast = p.workspace(storedFloats(node.shape) * FLOAT);
  const to = broadcastStrides(node.shape, node.shape);
  const loops = copyLoops(node.shape, broadcastStrides(b.shape, node.shape), to);
  copyPhaseOf(p, p.value(b).at, broadcast, loops);
  contiguousPhase(p, 'mul', [p.value(a).at, broadcast], p.value(node).at, storedFloats(node.shape));
};

/** One number per channel as an operand: the extents of y, with strides of zero. */
export const perChannel = (y: Pixels, at: Pointer): Pixels => ({
  ...y,
  at,
  imageStride: 0,
  rowStride: 0,
  pixelStride: 0,
});
