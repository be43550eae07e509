/**
 * Inverted residual blocks of MobileNetV2 (https://arxiv.org/abs/1801.04381) and its successors: 1x1
 * expansion, depthwise convolution, optional squeeze-and-excitation, 1x1 projection. Large images are
 * computed row-wise, from the block's input to its output. Small images are computed channel-wise.
 * Channel-wise, and with squeeze-and-excitation, a barrier precedes the projection.
 */
import type { Node } from '../../../../../graph/graph.js';
import type { Conv2dAttrs } from '../../../../../ops/conv2d.js';
import { sizeOf } from '../../../../../tensor/shape.js';
import { FLOAT, paddedChannels } from '../../../codegen/kernel.js';
import { extents, type Pixels, storedFloats, valueAt } from '../../../memory/layout.js';
import type { LoweringContext } from '../../../schedule/context.js';
import { type InvertedResidual, isFirstConv } from '../../../schedule/fusions.js';
import { pixelsOf } from '../../lowering.js';
import { pointwiseRowMatmul, ROW_MATMUL_WEIGHT_BYTES } from '../../matmul/rowMatmul.js';
import { lowerConvolution } from '../conv2d.js';
import { convolutionOf, layerOf } from '../convolution.js';
import { lowerDepthwise, planDepthwise } from '../depthwise/depthwise.js';
import { lowerFirstConv, planFirstConvRows } from '../firstConv.js';
import { channelWisePhase, expandedChannels } from './channelWise.js';
import { rowWisePhase, type Stage } from './rowWise.js';
import { squeezeExciteAndProject } from './squeezeExcitation.js';

type Conv = Node<Conv2dAttrs>;

/** Maximum fraction of the expanded rows that may be computed twice, at the borders between threads. */
const MAX_REPEATED_EXPANDED = 1 / 6;

/**
 * Maximum fraction of the projected rows that may be computed twice so that a depthwise convolution after
 * them can be fused. Fusion saves writing and reading them, which is little: MobileNetV1 gains 40 us after
 * 112 rows, nothing after 56, and loses 20 us after 28.
 */
const MAX_REPEATED_PROJECTED = 1 / 100;

/** Plans a block, row-wise or channel-wise. */
export function lowerInvertedResidual(p: LoweringContext, block: InvertedResidual): void {
  const rowWise = rowWisePays(p, block);
  const { expand, depthwise, squeeze, filter } = block;
  const depthwiseLabel = (node: Conv): string => `depthwise ${node.inputs[1]!.shape.slice(2).join('x')}`;
  const suffix = rowWise ? ' row-wise' : ' channel-wise';
  // A barrier before the projection: the suffix holds for the depthwise convolution and what precedes it.
  const barrier = !rowWise || squeeze !== undefined;
  const steps = [
    ...(expand ? [isFirstConv(expand) ? 'first conv' : 'expand'] : []),
    `${depthwiseLabel(depthwise)}${barrier ? suffix : ''}`,
    ...(squeeze ? ['squeeze-excitation'] : []),
    'project',
    ...(filter ? [depthwiseLabel(filter)] : []),
  ];
  const context = p.withAlgorithm(`${steps.join(', ')}${barrier ? '' : suffix}`);
  if (rowWise) lowerRowWise(context, block);
  else lowerChannelWise(context, block);
}

/** Fraction of a convolution's input rows that are computed twice. */
function repeatedRows({ inputs, attrs }: Conv, threads: number): number {
  const [x, weight] = inputs as [Node, Node];
  return ((weight.shape[2]! - attrs.stride[0]) * (threads - 1)) / (x.shape[0]! * x.shape[2]!);
}

/**
 * True if the block is computed row-wise: if rows divide evenly among threads, few rows are computed twice,
 * and the weights are small enough to stay in a cache.
 */
function rowWisePays(
  { threads }: LoweringContext,
  { expand, depthwise, project }: InvertedResidual,
): boolean {
  const { n, h } = extents(depthwise.shape);
  const bytes = (node: Conv | undefined): number => (node ? sizeOf(node.inputs[1]!.shape) * FLOAT : 0);
  return (
    (n * h >= 6 * threads || (n * h) % threads === 0) &&
    (!expand || repeatedRows(depthwise, threads) <= MAX_REPEATED_EXPANDED) &&
    Math.max(bytes(expand), bytes(project)) <= ROW_MATMUL_WEIGHT_BYTES
  );
}

/** Pixel stride, in bytes, of a node's value in a buffer of its own. */
const pixelBytes = (node: Node): number => paddedChannels(node.shape[1]!) * FLOAT;

/** Allocates workspace for an intermediate value of a block. */
const intermediateValue = (p: LoweringContext, node: Node): Pixels =>
  valueAt(p.workspace(storedFloats(node.shape) * FLOAT), node.shape) as Pixels;

/**
 * Plans a depthwise convolution of the block.
 * @param pixel - pixel strides of its input and output, in bytes.
 */
function depthwiseRows(
  p: LoweringContext,
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

/** Plans the stages up to the projection, or up to squeeze-and-excitation, as one row-wise phase. */
function lowerRowWise(
  p: LoweringContext,
  { expand, depthwise, squeeze, project, filter }: InvertedResidual,
): void {
  const y = pixelsOf(p, filter ?? project);
  const filtered = squeeze && intermediateValue(p, depthwise);
  const sums = filtered && p.workspace(filtered.n * filtered.h * filtered.pixelStride);
  const startsWithFirstConv = expand && isFirstConv(expand);
  const x = startsWithFirstConv ? undefined : pixelsOf(p, (expand ?? depthwise).inputs[0]!);
  const stage = (node: Conv, algorithm: Stage['algorithm']): Stage => ({
    algorithm,
    ...extents(node.shape),
    pixelStride: pixelBytes(node),
  });
  const pointwise = (node: Conv, a: number, c: number): Stage => {
    const residual = node.inputs[3] && pixelsOf(p, node.inputs[3]);
    const matmul = pointwiseRowMatmul(p, node, { a, c, residual: residual?.pixelStride ?? 0 });
    return stage(node, { kind: 'pointwise', matmul, residual });
  };
  const stages: Stage[] = [];
  if (expand && x) stages.push(pointwise(expand, x.pixelStride, pixelBytes(expand)));
  if (expand && startsWithFirstConv) {
    const output = { ...extents(expand.shape), pixelStride: pixelBytes(expand) };
    const rows = planFirstConvRows(p, layerOf(p, expand), expand.inputs[0]!, output);
    stages.push(stage(expand, { kind: 'firstConv', rows }));
  }
  const pixel = { x: expand ? pixelBytes(expand) : x!.pixelStride, y: pixelBytes(depthwise) };
  const rows = depthwiseRows(p, depthwise, pixel, squeeze !== undefined);
  stages.push(stage(depthwise, { kind: 'depthwise', rows, sums }));
  if (squeeze && filtered && sums) {
    rowWisePhase(p, stages, x, filtered);
    squeezeExciteAndProject(p, squeeze, project, { value: filtered, sums, y });
    return;
  }
  const fusesFilter = filter && repeatedRows(filter, p.threads) <= MAX_REPEATED_PROJECTED;
  const projected = filter && !fusesFilter ? intermediateValue(p, project) : y;
  stages.push(
    pointwise(project, pixelBytes(depthwise), fusesFilter ? pixelBytes(project) : projected.pixelStride),
  );
  if (filter && fusesFilter) {
    const rows = depthwiseRows(p, filter, { x: pixelBytes(project), y: y.pixelStride });
    stages.push(stage(filter, { kind: 'depthwise', rows }));
  }
  rowWisePhase(p, stages, x, projected);
  if (filter && !fusesFilter)
    lowerDepthwise(
      p,
      convolutionOf(p, filter, () => projected, y),
    );
}

/**
 * Plans the expansion and the depthwise convolution as one channel-wise phase, and the projection as the
 * next.
 */
function lowerChannelWise(
  p: LoweringContext,
  { expand, depthwise, squeeze, project, filter }: InvertedResidual,
): void {
  const y = pixelsOf(p, filter ?? project);
  const filtered = intermediateValue(p, depthwise);
  const sums = squeeze && p.workspace(filtered.n * filtered.h * filtered.pixelStride);
  let pointwiseExpand = expand;
  let x: Pixels;
  if (expand && isFirstConv(expand)) {
    const input = expand.inputs[0]!;
    x = intermediateValue(p, expand);
    lowerFirstConv(
      p,
      convolutionOf(p, expand, () => pixelsOf(p, input), x),
      input,
    );
    pointwiseExpand = undefined;
  } else x = pixelsOf(p, (expand ?? depthwise).inputs[0]!);
  const expandedPixel = pointwiseExpand ? expandedChannels(x) * FLOAT : x.pixelStride;
  channelWisePhase(p, {
    x,
    y: filtered,
    expand:
      pointwiseExpand &&
      pointwiseRowMatmul(p, pointwiseExpand, { a: x.pixelStride, c: expandedPixel, residual: 0 }),
    depthwise: depthwiseRows(
      p,
      depthwise,
      { x: expandedPixel, y: filtered.pixelStride },
      squeeze !== undefined,
    ),
    sums,
  });
  const projected = filter ? intermediateValue(p, project) : y;
  if (squeeze && sums) squeezeExciteAndProject(p, squeeze, project, { value: filtered, sums, y: projected });
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
