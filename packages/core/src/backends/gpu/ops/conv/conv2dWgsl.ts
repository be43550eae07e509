/**
 * Convolution for WebGPU, in WGSL: a thread computes a tile of four pixels by up to eight channels in
 * registers, so each value read is used in eight products and each weight in four.
 *
 * It has no template in common with the kernel in GLSL: images are planar here and packed by four channels there, so
 * that loads, products, bounds and stores differ, and the tiles with them.
 */
import type { Conv2dAttrs } from '../../../../ops/conv2d.js';
import { pictureShape } from '../../../../ops/define.js';
import { wgslKernel } from '../../kernels/frame.js';
import { range, vectorActivation } from '../../kernels/shader.js';
import { hasPadding, type Layout } from '../../layout/types.js';
import type { PlannedTensor } from '../../plan/plan.js';
import type { LoweringContext } from '../lowering.js';
import { packOutputTiles } from '../packWeights.js';
import { columnsOf, PIXELS } from './common.js';

/** Properties of a layer that are compiled into its kernel. */
interface KernelVariant extends Conv2dAttrs {
  readonly taps: readonly [number, number];
  /** Channels of a tile: 8, 4 or 1. */
  readonly channels: number;
  readonly bias: boolean;
}

/** Gives the strides of rows, planes and images, and the index of the first pixel that is not padding. */
function imageStrides({ paddedShape, padding }: Layout) {
  const [, c, h, w] = pictureShape('conv2d', paddedShape);
  return { row: w, plane: h * w, image: c * h * w, first: padding[0] * w + padding[1] };
}

/** y = activation(x * w + b + residual). */
export function conv2dWgsl(context: LoweringContext<Conv2dAttrs>): PlannedTensor {
  const { attrs, inputs, node, plan, shape, storedPadding } = context;
  const [x, w, ...more] = inputs;
  const [out, perGroup, kh, kw] = pictureShape('the weight of conv2d', node.inputs[1]?.shape);
  const { stride, padding, groups } = attrs;
  const outPerGroup = out / groups;
  const channels = groups === 1 || outPerGroup % 8 === 0 ? 8 : outPerGroup % 4 === 0 ? 4 : 1;
  const tilesPerGroup = Math.ceil(outPerGroup / channels);
  const layout = plan.layout(shape, storedPadding);
  const from = imageStrides(x!.layout);
  const to = imageStrides(layout);
  const residual = attrs.residual ? imageStrides(more[1]!.layout) : to;
  const [n, , oh, ow] = pictureShape('conv2d', shape);
  // Without padding the image of a 1x1 convolution is one long row.
  const images = [x!.layout, layout, ...more.slice(1).map((each) => each.layout)];
  const isFlat = kh * kw * stride[0] * stride[1] === 1 && !images.some(hasPadding);
  const [height, width] = isFlat ? [1, oh * ow] : [oh, ow];
  const tilesAcross = Math.ceil(width / PIXELS);
  const tiles = tilesPerGroup * groups;
  const type = channels === 1 ? 'f32' : 'vec4<f32>';
  const kernel = wgslKernel({
    sizes: {
      inRow: from.row,
      inPlane: from.plane,
      inImage: from.image,
      inFirst: from.first - padding[0] * from.row - padding[1],
      outRow: to.row,
      outPlane: to.plane,
      outImage: to.image,
      outFirst: to.first,
      outWidth: width,
      outHeight: height,
      outChannels: out,
      tilesAcross,
      perGroup,
      tilesPerGroup,
      tiles,
      moreRow: residual.row,
      morePlane: residual.plane,
      moreImage: residual.image,
      moreFirst: residual.first,
    },
    arrays: {
      x: 'f32',
      w: type,
      ...(more.length > 0 && { bias: 'f32' }),
      ...(attrs.residual && { more: 'f32' }),
      result: 'f32',
    },
    workgroup: [16, 4, 1],
    threads: [tilesAcross * height, tiles, n],
    body: shader({ ...attrs, taps: [kh, kw], channels, bias: more.length > 0 }),
  });
  const weights = packOutputTiles(plan, w!, channels);
  return plan.call(kernel, [x!, weights, ...more], layout, `direct ${PIXELS}x${channels}`);
}

/** Writes the shader of a variant. Images are stored with zero padding, so the loops test no bounds. */
function shader({
  taps: [kh, kw],
  stride,
  dilation,
  channels,
  bias,
  residual,
  activation,
}: KernelVariant): string {
  // A tile of eight channels has two vectors, numbered 0 and 1, for each pixel; one channel is a number.
  const type = channels === 1 ? 'f32' : 'vec4<f32>';
  const lanes = channels === 1 ? [''] : range(channels / 4);
  const inLane = range(Math.min(channels, 4));
  const sums = range(PIXELS).flatMap((pixel) =>
    lanes.map((lane) => ({
      pixel,
      first: `first${lane}`,
      weight: (kx: number) => `w${kx}${lane}`,
      name: `s${pixel}${lane}`,
    })),
  );
  const columns = columnsOf(kw, stride[1], dilation[1]);
  const products = range(kw).flatMap((kx) => [
    ...lanes.map((lane, index) => `let w${kx}${lane} = w[weight + ${kx * lanes.length + index}u];`),
    ...sums.map(
      ({ pixel, weight, name }) => `${name} += ${type}(x${columns.of(pixel, kx)}) * ${weight(kx)};`,
    ),
  ]);
  /** Writes a vector of one value for each channel. */
  const vector = (value: (i: number) => string): string => `${type}(${inLane.map(value).join(', ')})`;
  const store = ({ pixel, first, name }: (typeof sums)[number]): string => {
    const at = (start: string, plane: string, i: number): string =>
      `${start} + ${pixel}u + (${first} + ${i}u) * size.${plane}`;
    const stores = inLane.map((i) =>
      channels === 1
        ? `result[${at('out', 'outPlane', i)}] = y;`
        : `if (${first} + ${i}u < size.outChannels) { result[${at('out', 'outPlane', i)}] = y[${i}]; }`,
    );
    return `if (column + ${pixel}u < size.outWidth) {
let s = ${name}${residual ? ` + ${vector((i) => `more[${at('moreAt', 'morePlane', i)}]`)}` : ''};
let y = ${vectorActivation(activation, 's', type)};
${stores.join('\n')}
}`;
  };
  const addBias = ({ first, name }: (typeof sums)[number]): string =>
    `${name} += ${channels === 1 ? 'bias[tile]' : vector((i) => `bias[${first} + ${i}u]`)};`;
  return `let tile = thread.y;
if (thread.x >= size.tilesAcross * size.outHeight || tile >= size.tiles) { return; }
let row = thread.x / size.tilesAcross;
let column = (thread.x - row * size.tilesAcross) * ${PIXELS}u;
let group = tile / size.tilesPerGroup;
var plane = size.inFirst + thread.z * size.inImage + group * size.perGroup * size.inPlane
  + row * ${stride[0]}u * size.inRow + column * ${stride[1]}u;
var weight = tile * size.perGroup * ${kh * kw * lanes.length}u;
${sums.map(({ name }) => `var ${name} = ${type}(0.0);`).join('\n')}
for (var i = 0u; i < size.perGroup; i++) {
var at = plane;
for (var ky = 0u; ky < ${kh}u; ky++) {
${columns.all.map((column) => `let x${column} = x[at + ${column}u];`).join('\n')}
${products.join('\n')}
weight += ${kw * lanes.length}u;
at += ${dilation[0]}u * size.inRow;
}
plane += size.inPlane;
}
${lanes.map((lane, index) => `let first${lane} = tile * ${channels}u + ${index * 4}u;`).join('\n')}
${bias ? sums.map(addBias).join('\n') : ''}
let out = size.outFirst + thread.z * size.outImage + row * size.outRow + column;
${residual ? 'let moreAt = size.moreFirst + thread.z * size.moreImage + row * size.moreRow + column;' : ''}
${sums.map(store).join('\n')}`;
}
