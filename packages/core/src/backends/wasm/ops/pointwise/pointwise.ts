/** Elementwise ops: sums, products with broadcasting, activations, normalisation by given statistics. */
import type { Node } from '../../../../graph/graph.js';
import type { Activation } from '../../../../ops/activation.js';
import type { AddAttrs } from '../../../../ops/arithmetic.js';
import type { BatchNormTrainAttrs, EpsAttrs } from '../../../../ops/batchNorm.js';
import type { FillAttrs } from '../../../../ops/fill.js';
import { sameShape, sizeOf } from '../../../../tensor/shape.js';
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
import type { Planner } from '../../schedule/planner.js';
import {
  channelGroups,
  copyLoops,
  copyPhase,
  copyPhaseOf,
  type Lowering,
  pixelsOf,
  spreadPixels,
} from '../lowering.js';
import { normCoefficients } from '../norm/normKernel.js';
import { broadcastStrides } from './broadcast.js';
import { type PixelwiseFunction, pixelwise } from './pointwiseKernel.js';

export const lowerActivation: Lowering<Activation> = (p, node) => elementwise(p, node, 'copy', node.attrs);

export const lowerAdd: Lowering<AddAttrs> = (p, node) => elementwise(p, node, 'add', node.attrs.activation);

/** Ops that change nothing in inference, where their input could not simply be shared. */
export const lowerNeutral: Lowering<object> = (p, node) => elementwise(p, node, 'copy');

function elementwise(p: Planner, node: Node, compute: PixelwiseFunction, activation?: Activation): void {
  p.algorithm('elementwise');
  if (p.value(node).kind === 'pixels') {
    onPixels(
      p,
      compute,
      node.inputs.map((input) => pixelsOf(p, input)),
      pixelsOf(p, node),
      activation,
    );
    return;
  }
  flat(
    p,
    compute,
    node.inputs.map((input) => p.value(input).at),
    p.value(node).at,
    denseFloats(node.shape),
    activation,
  );
}

/** Values that lie in one piece, one after the other. */
function flat(
  p: Planner,
  compute: PixelwiseFunction,
  operands: readonly Pointer[],
  y: Pointer,
  floats: number,
  activation?: Activation,
): void {
  const shape = { compute, operands: operands.map(() => ({ pixel: 0 })), pixel: 0, activation };
  const call = p.kernel(pixelwise, shape);
  p.spread(floats / CHANNEL_BLOCK, (from, to) => {
    const at = (pointer: Pointer) => pointer.plus(from * CHANNEL_BLOCK * FLOAT);
    return [call({ y: at(y), operands: operands.map(at), pixels: 1, groups: to - from })];
  });
}

/** Pixel by pixel. Operands have the extents of y; where they repeat, their strides are zero. */
export function onPixels(
  p: Planner,
  compute: PixelwiseFunction,
  operands: readonly (Pixels & { readonly single?: boolean })[],
  y: Pixels,
  activation?: Activation,
): void {
  const runs = pixelRuns(y, ...operands);
  const packed = paddedChannels(y.c) * FLOAT;
  const alike =
    [y, ...operands].every(({ pixel }) => pixel === packed) && !operands.some(({ single }) => single);
  if (runs.count === 1 && alike) {
    flat(
      p,
      compute,
      operands.map(({ at }) => at),
      y.at,
      (runs.pixels * packed) / FLOAT,
      activation,
    );
    return;
  }
  const call = p.kernel(pixelwise, {
    compute,
    operands: operands.map(({ pixel, single }) => ({ pixel, single })),
    pixel: y.pixel,
    activation,
  });
  const groups = channelGroups(y.c);
  spreadPixels(p, runs, (run, first, pixels) => {
    const at = (value: Pixels) => runs.at(value, run, first);
    return call({ y: at(y), operands: operands.map(at), pixels, groups });
  });
}

/** y = a * b, b repeated along the axes where it has one element. */
export const lowerMul: Lowering<object> = (p, node) => {
  const [a, b] = node.inputs as [Node, Node];
  if (sameShape(a.shape, b.shape)) {
    elementwise(p, node, 'mul');
    return;
  }
  p.algorithm('elementwise');
  if (isPixelShape(node.shape)) {
    const y = pixelsOf(p, node);
    const small = pixelsOf(p, b);
    const row = small.h === 1 ? 0 : small.row;
    const repeated = {
      ...small,
      ...extents(node.shape),
      image: small.n === 1 ? 0 : small.image,
      row,
      pixel: small.w === 1 ? 0 : small.pixel,
      single: small.c === 1 && y.c > 1,
    };
    onPixels(p, 'mul', [pixelsOf(p, a), repeated], y);
    return;
  }
  const whole = p.scratch(storedFloats(node.shape) * FLOAT);
  const to = broadcastStrides(node.shape, node.shape);
  copyPhaseOf(p, p.value(b).at, whole, copyLoops(node.shape, broadcastStrides(b.shape, node.shape), to));
  flat(p, 'mul', [p.value(a).at, whole], p.value(node).at, storedFloats(node.shape));
};

/** What a normalisation multiplies each channel with, and what it adds. */
interface NormCoefficients {
  readonly scale: Pointer;
  readonly shift: Pointer;
}

/** The coefficients of a normalisation by statistics that no run changes; undefined for others. */
export function constantCoefficients(p: Planner, node: Node<EpsAttrs>): NormCoefficients | undefined {
  const statistics = node.inputs.slice(1).map((statistic) => p.constant(statistic)?.data);
  const [weight, bias, mean, variance] = statistics;
  if (!weight || !bias || !mean || !variance) return undefined;
  const floats = paddedChannels(weight.length);
  const scale = p.keep(2 * floats, (target) => {
    for (let c = 0; c < weight.length; c++) {
      const factor = weight[c]! / Math.sqrt(variance[c]! + node.attrs.eps);
      target[c] = factor;
      target[floats + c] = bias[c]! - mean[c]! * factor;
    }
  });
  return { scale, shift: scale.plus(floats * FLOAT) };
}

/** Plans the phase that computes the coefficients of a normalisation in every run. */
function changingCoefficients(p: Planner, node: Node<EpsAttrs>): NormCoefficients {
  const channels = node.shape[1]!;
  const bytes = paddedChannels(channels) * FLOAT;
  const [scale, shift] = [p.scratch(bytes), p.scratch(bytes)];
  const [, weight, bias, mean, variance] = node.inputs as [Node, Node, Node, Node, Node];
  const call = p.kernel(normCoefficients, { eps: node.attrs.eps });
  p.spread(1, () => [
    call({
      weight: p.value(weight).at,
      bias: p.value(bias).at,
      mean: p.value(mean).at,
      variance: p.value(variance).at,
      scale,
      shift,
      groups: channelGroups(channels),
    }),
  ]);
  return { scale, shift };
}

/** y = x * scale + shift, the two computed from the four statistics first. */
export const lowerBatchNorm: Lowering<BatchNormTrainAttrs> = (p, node) => {
  const [x] = node.inputs as [Node];
  const y = pixelsOf(p, node);
  p.algorithm('elementwise');
  const { scale, shift } = constantCoefficients(p, node) ?? changingCoefficients(p, node);
  const operands = [pixelsOf(p, x), perChannel(y, scale), perChannel(y, shift)];
  onPixels(p, 'affine', operands, y, node.attrs.activation);
};

/** One number for each channel, as an operand that is the same for all pixels of y. */
export const perChannel = (y: Pixels, at: Pointer): Pixels => ({ ...y, at, image: 0, row: 0, pixel: 0 });

export const lowerFill: Lowering<FillAttrs> = (p, node) => {
  const { value } = node.attrs;
  const one = p.keep(1, (target) => target.fill(value));
  p.algorithm('copy');
  copyPhaseOf(p, one, p.value(node).at, [{ count: storedFloats(node.shape), from: 0, to: 1 }]);
};

/** y = x under another shape, where it could not simply be shared: by way of the host's order. */
export const lowerReshape: Lowering<object> = (p, node) => {
  const [x] = node.inputs as [Node];
  p.algorithm('copy');
  const dense = (shape: readonly number[], at: Pointer) => ({ kind: 'dense', at, shape }) as const;
  const between = p.scratch(sizeOf(node.shape) * FLOAT);
  copyPhase(p, x.shape, p.value(x), dense(x.shape, between));
  copyPhase(p, node.shape, dense(node.shape, between), p.value(node));
};
