/**
 * Inverted residuals, from expansion to projection. Large pictures go by rows, from the block's input to its
 * output. Small pictures go by channels, and all meet before the projection, as they do for squeeze-and-excitation.
 */
import type { Node } from '../../../../../graph/graph.js';
import type { Conv2dAttrs } from '../../../../../ops/conv2d.js';
import { sizeOf } from '../../../../../tensor/shape.js';
import { FLOAT, paddedChannels } from '../../../codegen/kernel.js';
import { extents, type Pixels, storedFloats, valueAt } from '../../../memory/layout.js';
import { type InvertedResidual, isFirstConv } from '../../../schedule/fusions.js';
import type { Planner } from '../../../schedule/planner.js';
import { pixelsOf } from '../../lowering.js';
import { pointwiseRowMatmul, ROW_MATMUL_WEIGHT_BYTES } from '../../matmul/rowMatmul.js';
import { lowerConvolution } from '../conv2d.js';
import { convolutionOf, layerOf } from '../convolution.js';
import { lowerDepthwise, planDepthwise } from '../depthwise/depthwise.js';
import { lowerFirstConv, planStem } from '../firstConv.js';
import { channelsPhase, expandedChannels } from './byChannels.js';
import { chainPhase, type Stage } from './rowChain.js';
import { projectSqueezed } from './squeezeExcitation.js';

type Conv = Node<Conv2dAttrs>;

/** How many of the expanded rows may be made twice, where those of two threads meet. */
const MOST_REPEATED = 1 / 6;

/**
 * How many of the projected rows may be made twice for a depthwise convolution behind them. It saves writing and
 * reading them, which is less: MobileNetV1 gains 40 us behind 112 rows, nothing behind 56, and loses 20 behind 28.
 */
const MOST_PROJECTED_TWICE = 1 / 100;

export function lowerInvertedResidual(p: Planner, block: InvertedResidual): void {
  const byRows = rowsPay(p, block);
  const { expand, depthwise, squeeze, filter } = block;
  const window = (node: Conv): string => `depthwise ${node.inputs[1]!.shape.slice(2).join('x')}`;
  const way = byRows ? ' by rows' : ' by channels';
  const apart = !byRows || squeeze !== undefined;
  const steps = [
    ...(expand ? [isFirstConv(expand) ? 'first layer' : 'expand'] : []),
    `${window(depthwise)}${apart ? way : ''}`,
    ...(squeeze ? ['squeeze'] : []),
    'project',
    ...(filter ? [window(filter)] : []),
  ];
  p.withAlgorithm(`${steps.join(', ')}${apart ? '' : way}`, () =>
    byRows ? lowerByRows(p, block) : lowerByChannels(p, block),
  );
}

/** The part of a convolution's input rows that is made twice by so many threads. */
function repeatedRows({ inputs, attrs }: Conv, threads: number): number {
  const [x, weight] = inputs as [Node, Node];
  return ((weight.shape[2]! - attrs.stride[0]) * (threads - 1)) / (x.shape[0]! * x.shape[2]!);
}

/** Whether rows are the way: where they can be shared out evenly, at little cost, and weights are not the larger part. */
function rowsPay({ threads }: Planner, { expand, depthwise, project }: InvertedResidual): boolean {
  const { n, h } = extents(depthwise.shape);
  const bytes = (node: Conv | undefined): number => (node ? sizeOf(node.inputs[1]!.shape) * FLOAT : 0);
  return (
    (n * h >= 6 * threads || (n * h) % threads === 0) &&
    (!expand || repeatedRows(depthwise, threads) <= MOST_REPEATED) &&
    Math.max(bytes(expand), bytes(project)) <= ROW_MATMUL_WEIGHT_BYTES
  );
}

/** From one pixel of a node's value to the next, in bytes, where nothing else shares its place. */
const pixelBytes = (node: Node): number => paddedChannels(node.shape[1]!) * FLOAT;

/** A value that lives as long as its block is being computed. */
const between = (p: Planner, node: Node): Pixels =>
  valueAt(p.workspace(storedFloats(node.shape) * FLOAT), node.shape) as Pixels;

/** A depthwise convolution between values whose pixels lie so far apart. */
function depthwiseRows(
  p: Planner,
  node: Conv,
  pixel: { readonly x: number; readonly y: number },
  sums = false,
) {
  const [input] = node.inputs as [Node];
  const [x, y] = [
    { ...extents(input.shape), pixelStride: pixel.x },
    { ...extents(node.shape), pixelStride: pixel.y },
  ];
  return planDepthwise(p, layerOf(p, node), x, y, { sums });
}

function lowerByRows(p: Planner, { expand, depthwise, squeeze, project, filter }: InvertedResidual): void {
  const y = pixelsOf(p, filter ?? project);
  const filtered = squeeze && between(p, depthwise);
  const sums = filtered && p.workspace(filtered.n * filtered.h * filtered.pixelStride);
  const stem = expand && isFirstConv(expand);
  const x = stem ? undefined : pixelsOf(p, (expand ?? depthwise).inputs[0]!);
  const stage = (node: Conv, way: Stage['way']): Stage => ({
    way,
    ...extents(node.shape),
    pixelStride: pixelBytes(node),
  });
  const pointwise = (node: Conv, a: number, c: number): Stage => {
    const residual = node.inputs[3] && pixelsOf(p, node.inputs[3]);
    const product = pointwiseRowMatmul(p, node, { a, c, residual: residual?.pixelStride ?? 0 });
    return stage(node, { kind: 'pointwise', product, residual });
  };
  const stages: Stage[] = [];
  if (expand && x) stages.push(pointwise(expand, x.pixelStride, pixelBytes(expand)));
  if (expand && stem) {
    const into = { ...extents(expand.shape), pixelStride: pixelBytes(expand) };
    const rows = planStem(p, layerOf(p, expand), expand.inputs[0]!, into);
    stages.push(stage(expand, { kind: 'stem', rows }));
  }
  const wide = { x: expand ? pixelBytes(expand) : x!.pixelStride, y: pixelBytes(depthwise) };
  const rows = depthwiseRows(p, depthwise, wide, squeeze !== undefined);
  stages.push(stage(depthwise, { kind: 'depthwise', rows, sums }));
  if (squeeze && filtered && sums) {
    chainPhase(p, stages, x, filtered);
    projectSqueezed(p, squeeze, project, { value: filtered, sums, y });
    return;
  }
  const joined = filter && repeatedRows(filter, p.threads) <= MOST_PROJECTED_TWICE;
  const projected = filter && !joined ? between(p, project) : y;
  stages.push(
    pointwise(project, pixelBytes(depthwise), joined ? pixelBytes(project) : projected.pixelStride),
  );
  if (filter && joined) {
    const rows = depthwiseRows(p, filter, { x: pixelBytes(project), y: y.pixelStride });
    stages.push(stage(filter, { kind: 'depthwise', rows }));
  }
  chainPhase(p, stages, x, projected);
  if (filter && !joined)
    lowerDepthwise(
      p,
      convolutionOf(p, filter, () => projected, y),
    );
}

function lowerByChannels(
  p: Planner,
  { expand, depthwise, squeeze, project, filter }: InvertedResidual,
): void {
  const y = pixelsOf(p, filter ?? project);
  const filtered = between(p, depthwise);
  const sums = squeeze && p.workspace(filtered.n * filtered.h * filtered.pixelStride);
  let first = expand;
  let x: Pixels;
  if (expand && isFirstConv(expand)) {
    const input = expand.inputs[0]!;
    x = between(p, expand);
    lowerFirstConv(
      p,
      convolutionOf(p, expand, () => pixelsOf(p, input), x),
      input,
    );
    first = undefined;
  } else x = pixelsOf(p, (expand ?? depthwise).inputs[0]!);
  const widePixel = first ? expandedChannels(x) * FLOAT : x.pixelStride;
  channelsPhase(p, {
    x,
    y: filtered,
    expand: first && pointwiseRowMatmul(p, first, { a: x.pixelStride, c: widePixel, residual: 0 }),
    depthwise: depthwiseRows(p, depthwise, { x: widePixel, y: filtered.pixelStride }, squeeze !== undefined),
    sums,
  });
  const projected = filter ? between(p, project) : y;
  if (squeeze && sums) projectSqueezed(p, squeeze, project, { value: filtered, sums, y: projected });
  else
    lowerConvolution(
      p,
      convolutionOf(p, project, () => filtered, projected),
    );
  if (filter)
    lowerDepthwise(
      p,
      convolutionOf(p, filter, () => projected, y),
    );
}
