/**
 * Convolution for WebGL2, in GLSL: a fragment computes four channels of four adjacent pixels. A texel of the input
 * holds four channels too, so eight texels read serve 64 products.
 *
 * Rows above and below an image are stored as zeros. Columns beside it are not, since they would add whole quads of
 * pixels to each row: what is read there is multiplied by a zero computed before the loops.
 */
import type { Conv2dAttrs } from '../../../../ops/conv2d.js';
import { pictureShape } from '../../../../ops/define.js';
import type { Shape } from '../../../../tensor/shape.js';
import { type Tensor, valuesOf } from '../../../../tensor/tensor.js';
import type { GlslConv2d } from '../../assignKernels.js';
import { glslKernel } from '../../kernels/frame.js';
import { range, vectorActivation } from '../../kernels/shader.js';
import { channelBlocks, PACK } from '../../layout/packed.js';
import type { Layout } from '../../layout/types.js';
import type { PlannedTensor } from '../../plan/plan.js';
import type { LoweringContext } from '../lowering.js';
import { constantOf } from '../packWeights.js';
import { columnsOf, PIXELS } from './common.js';

/** Most weights read by a row of unrolled taps. Longer rows are loops, which compile faster. */
const MAX_UNROLLED_READS = 20;

const pixels = range(PIXELS);

/** Gives an image's size with padding, and the padding before its first pixel. */
function imageSize({ paddedShape, padding }: Layout) {
  const [, , height, width] = pictureShape('conv2d', paddedShape);
  return { width, height, top: padding[0], left: padding[1] };
}

/** Gives a weight's shape: output channels, input channels per group, height and width of the kernel. */
const weightShape = (shape: Shape | undefined) => pictureShape('the weight of conv2d', shape);

/**
 * Packs weights into texels of four output channels: block of output channels, block of input channels, tap.
 * Each input channel of a block has a layer of the texture.
 */
function packWeights(weight: Tensor, staged: Float32Array): void {
  const [out, perGroup, kh, kw] = weightShape(weight.shape);
  const taps = kh * kw;
  const row = perGroup * taps;
  const block = channelBlocks(perGroup) * taps * PACK;
  const layer = staged.length / PACK;
  for (let first = 0; first < out; first += PACK) {
    const end = Math.min(first + PACK, out);
    const values = valuesOf(weight, first * row, end * row);
    for (let o = 0; o < end - first; o++)
      for (let i = 0; i < perGroup; i++) {
        const to = (i % PACK) * layer + (first / PACK) * block + Math.floor(i / PACK) * taps * PACK + o;
        const from = o * row + i * taps;
        for (let tap = 0; tap < taps; tap++) staged[to + tap * PACK] = values[from + tap]!;
      }
  }
}

/** Packs weights of a depthwise convolution into texels of four channels: block of channels, tap. */
function packDepthwiseWeights({ shape, data }: Tensor, staged: Float32Array): void {
  const [out, , kh, kw] = weightShape(shape);
  const taps = kh * kw;
  for (let c = 0; c < out; c++)
    for (let tap = 0; tap < taps; tap++)
      staged[(Math.floor(c / PACK) * taps + tap) * PACK + (c % PACK)] = data[c * taps + tap]!;
}

/** y = activation(x * w + b + residual), by the kernel assigned to the node. */
export function conv2dGlsl(context: LoweringContext<Conv2dAttrs>, kernel: GlslConv2d): PlannedTensor {
  const { attrs, inputs, plan, shape, storedPadding } = context;
  const [x, w, ...more] = inputs;
  const weight = constantOf(w!)!;
  const [out, perGroup, kh, kw] = weightShape(weight.shape);
  const { padding, groups, activation } = attrs;
  const layout = plan.layout(shape, storedPadding);
  const weights = kernel.depthwise
    ? plan.prepacked([channelBlocks(out) * kh * kw, PACK], (staged) => packDepthwiseWeights(weight, staged))
    : plan.prepackedLayers(channelBlocks(out) * channelBlocks(perGroup) * kh * kw * PACK, (staged) =>
        packWeights(weight, staged),
      );
  const to = imageSize(layout);
  const from = imageSize(x!.layout);
  const residual = attrs.residual ? imageSize(more[1]!.layout) : to;
  const [, , innerHeight, innerWidth] = pictureShape('conv2d', shape);
  const [, inChannels, , seenWidth] = pictureShape('conv2d', x!.layout.shape);
  const sizes = {
    outWidth: to.width,
    outHeight: to.height,
    outBlocks: channelBlocks(out),
    top: to.top,
    left: to.left,
    innerWidth,
    innerHeight,
    inWidth: from.width,
    inHeight: from.height,
    inBlocks: channelBlocks(inChannels),
    inTop: from.top - padding[0],
    inLeft: from.left - padding[1],
    depth: channelBlocks(perGroup),
    blocksPerGroup: channelBlocks(out / groups),
    moreWidth: residual.width,
    moreHeight: residual.height,
    moreTop: residual.top,
    moreLeft: residual.left,
    seenWidth,
    adds: attrs.residual ? 1 : 0,
    activates: activation ? 1 : 0,
  };
  return plan.call(
    glslKernel(sizes, shader(kernel)),
    // A kernel with an optional residual needs some texture to be bound where there is none.
    [x!, weights, ...more, ...(kernel.residual && !attrs.residual ? [x!] : [])],
    layout,
    kernel.depthwise ? 'depthwise 4x4' : 'direct 4x4',
  );
}

/** Writes a factor that is 0 for a column outside of the image, and else 1. */
const insideFactor = (column: string): string => `${column} >= 0 && ${column} < seenWidth ? 1.0 : 0.0`;

/** Gives the columns that may lie before the first pixel of a row, or after the last and not in its last quad. */
function columnsOutside({ kernel: [, kw], stride, dilation, padding }: GlslConv2d): readonly number[] {
  const columns = columnsOf(kw, stride[1], dilation[1]);
  const [, before, , after] = padding;
  const outputIsNoWider = stride[1] === 1 && before + after <= (kw - 1) * dilation[1];
  const taps = range(kw).filter((kx) => (kw - 1 - kx) * dilation[1] < after);
  const mayBeAfter = new Set(pixels.flatMap((pixel) => taps.map((kx) => columns.of(pixel, kx))));
  return columns.all.filter(
    (at) => at < before || (!(outputIsNoWider && at < before + PIXELS) && mayBeAfter.has(at)),
  );
}

/** Writes statements that add the products of a row of taps to the sums. */
function rowOfTaps(kernel: GlslConv2d, outside: readonly number[], isLoop: boolean): string {
  const { depthwise, lanes, stride, dilation, padding } = kernel;
  const kw = kernel.kernel[1];
  const columns = columnsOf(kw, stride[1], dilation[1]);
  /** Writes the products of a tap with the column that each pixel reads. */
  const products = (kx: number | string, column: (pixel: number) => string): string => {
    const ofLane = (weight: string, lane: string): readonly string[] => [
      `w = ${weight};`,
      ...pixels.map((pixel) => `s${pixel} += ${column(pixel)}${lane} * w;`),
    ];
    const lines = depthwise
      ? ofLane(`fetch1(weight + ${kx})`, '')
      : range(lanes).flatMap((lane) => ofLane(`layer1(weight + ${kx}, ${lane})`, `[${lane}]`));
    return lines.join('\n');
  };
  if (!isLoop)
    return [
      ...columns.all.map(
        (at) => `vec4 x${at} = fetch0(at + ${at})${outside.includes(at) ? ` * inside${at}` : ''};`,
      ),
      ...range(kw).map((kx) => products(kx, (pixel) => `x${columns.of(pixel, kx)}`)),
    ].join('\n');
  const loads = pixels.map((pixel) => {
    const first = columns.of(pixel, 0);
    const inside = insideFactor(`(column * ${stride[1]} + tap + ${first - padding[1]})`);
    return `vec4 x${pixel} = fetch0(at + tap + ${first})${outside.length > 0 ? ` * (${inside})` : ''};`;
  });
  return `for (int kx = 0; kx < ${kw}; kx++) {
int tap = kx * ${dilation[1]};
${loads.join('\n')}
${products('kx', (pixel) => `x${pixel}`)}
}`;
}

/** Writes statements that store the sum of a pixel, with what is added to it. */
const store = ({ bias, residual, activation, optionalActivation }: GlslConv2d, pixel: number): string => {
  const when = (parameter: string, optional: boolean): string => (optional ? `if (${parameter} != 0) ` : '');
  return `if (column + ${pixel} >= 0 && column + ${pixel} < innerWidth) {
vec4 s = s${pixel}${bias ? ' + shift' : ''};
${residual ? `${when('adds', residual === 'optional')}s += fetch3(more + ${pixel});` : ''}
${activation ? `${when('activates', optionalActivation)}s = ${vectorActivation(activation, 's', 'vec4')};` : ''}
y${pixel} = s;
}`;
};

/** Writes the body of a kernel. */
function shader(kernel: GlslConv2d): string {
  const { depthwise, stride, dilation, padding, lanes, bias, residual } = kernel;
  const [kh, kw] = kernel.kernel;
  const isLoop = kw * lanes > MAX_UNROLLED_READS;
  const outside = columnsOutside(kernel);
  const line = `${rowOfTaps(kernel, outside, isLoop)}
weight += ${kw};
at += step;`;
  const taps = kh === 1 ? line : `for (int ky = 0; ky < ${kh}; ky++) {\n${line}\n}`;
  const factors = outside.map(
    (at) => `float inside${at} = ${insideFactor(`(column * ${stride[1]} + ${at - padding[1]})`)};`,
  );
  return `int step = ${dilation[0]} * inWidth;
int inPlane = inHeight * inWidth;
int texel = quad * ${PACK};
int line = texel / outWidth;
int column = texel - line * outWidth - left;
int plane = line / outHeight;
int row = line - plane * outHeight - top;
if (row < 0 || row >= innerHeight) return;
int image = plane / outBlocks;
int block = plane - image * outBlocks;
int corner = (row * ${stride[0]} + inTop) * inWidth + column * ${stride[1]} + inLeft;
${isLoop ? '' : factors.join('\n')}
${pixels.map((pixel) => `vec4 s${pixel} = vec4(0.0);`).join('\n')}
vec4 w;
${
  depthwise
    ? `int at = plane * inPlane + corner;
int weight = block * ${kh * kw};
${taps}`
    : `int weight = block * depth * ${kh * kw};
int first = image * inBlocks + (block / blocksPerGroup) * depth;
for (int i = 0; i < depth; i++) {
int at = (first + i) * inPlane + corner;
${taps}
}`
}
${bias ? 'vec4 shift = fetch2(block);' : ''}
${residual ? 'int more = (plane * moreHeight + row + moreTop) * moreWidth + column + moreLeft;' : ''}
${pixels.map((pixel) => store(kernel, pixel)).join('\n')}`;
}
