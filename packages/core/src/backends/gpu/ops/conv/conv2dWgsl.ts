/**
 * Convolution for WebGPU, in WGSL: a thread computes a tile of four pixels by up to eight channels in
 * registers, so each value read is used in eight products and each weight in four. Sizes are parameters, so
 * layers that differ only in them share a kernel.
 */
import type { Activation } from '../../../../ops/activation.js';
import type { Conv2dAttrs } from '../../../../ops/conv2d.js';
import { pictureShape } from '../../../../ops/define.js';
import { range, vectorActivation } from '../../kernels/shader.js';
import { hasPadding, type Layout } from '../../layout/types.js';
import type { PlannedTensor } from '../../plan/plan.js';
import type { LoweringContext } from '../lowering.js';
import { packOutputTiles } from '../packWeights.js';

/** Pixels of a tile, adjacent in a row. */
const PIXELS = 4;

/** Threads of a workgroup: pixel tiles by channel tiles. */
const WORKGROUP = [16, 4] as const;

/** Properties that are compiled into a kernel. */
interface KernelVariant {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly dilation: readonly [number, number];
  /** Channels of a tile: 8, 4 or 1. */
  readonly channels: number;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly activation: Activation | undefined;
}

/** Parameters of the kernel, in order. Names that begin with `more` are the residual's. */
const sizeNames = [
  'inRow',
  'inPlane',
  'inImage',
  'inFirst',
  'outRow',
  'outPlane',
  'outImage',
  'outFirst',
  'outWidth',
  'outHeight',
  'outChannels',
  'tilesAcross',
  'perGroup',
  'tilesPerGroup',
  'tiles',
  'moreRow',
  'morePlane',
  'moreImage',
  'moreFirst',
] as const;

type Sizes = Readonly<Record<(typeof sizeNames)[number], number>>;

/** Gives the strides of rows, planes and images, and the index of the first pixel that is not padding. */
function imageStrides({ paddedShape, padding }: Layout): {
  readonly row: number;
  readonly plane: number;
  readonly image: number;
  readonly first: number;
} {
  const [, c, h, w] = pictureShape('conv2d', paddedShape);
  return { row: w, plane: h * w, image: c * h * w, first: padding[0] * w + padding[1] };
}

/** y = activation(x * w + b + residual). */
export function conv2dWgsl(context: LoweringContext<Conv2dAttrs>): PlannedTensor {
  const { attrs, node, plan, shape, storedPadding } = context;
  const [x, w, ...more] = context.inputs as [PlannedTensor, PlannedTensor, ...PlannedTensor[]];
  const [out, perGroup, kh, kw] = pictureShape('the weight of conv2d', node.inputs[1]!.shape);
  const { stride, dilation, padding, groups, activation } = attrs;
  const residual = attrs.residual ? more.at(-1)! : undefined;
  const bias = more.length > (residual ? 1 : 0);
  const outPerGroup = out / groups;
  const channels = groups === 1 || outPerGroup % 8 === 0 ? 8 : outPerGroup % 4 === 0 ? 4 : 1;
  const tilesPerGroup = Math.ceil(outPerGroup / channels);
  const layout = plan.layout(shape, storedPadding);
  const inStrides = imageStrides(x.layout);
  const outStrides = imageStrides(layout);
  const moreStrides = residual ? imageStrides(residual.layout) : outStrides;
  const [n, , oh, ow] = pictureShape('conv2d', shape);
  // Without padding the image of a 1x1 convolution is one long row.
  const isFlat =
    kh * kw * stride[0] * stride[1] === 1 &&
    ![x.layout, layout, ...(residual ? [residual.layout] : [])].some(hasPadding);
  const [height, width] = isFlat ? [1, oh * ow] : [oh, ow];
  const tilesAcross = Math.ceil(width / PIXELS);
  const tiles = tilesPerGroup * groups;
  const sizes: Sizes = {
    inRow: inStrides.row,
    inPlane: inStrides.plane,
    inImage: inStrides.image,
    inFirst: inStrides.first - padding[0] * inStrides.row - padding[1],
    outRow: outStrides.row,
    outPlane: outStrides.plane,
    outImage: outStrides.image,
    outFirst: outStrides.first,
    outWidth: width,
    outHeight: height,
    outChannels: out,
    tilesAcross,
    perGroup,
    tilesPerGroup,
    tiles,
    moreRow: moreStrides.row,
    morePlane: moreStrides.plane,
    moreImage: moreStrides.image,
    moreFirst: moreStrides.first,
  };
  const weights = packOutputTiles(plan, w, channels);
  return plan.call(
    {
      language: 'wgsl',
      text: shader({
        kernel: [kh, kw],
        stride,
        dilation,
        channels,
        bias,
        residual: residual !== undefined,
        activation,
      }),
      sizes: sizeNames.map((name) => sizes[name]),
      workgroups: [Math.ceil((tilesAcross * height) / WORKGROUP[0]), Math.ceil(tiles / WORKGROUP[1]), n],
    },
    [x, weights, ...more],
    layout,
    `direct ${PIXELS}x${channels}`,
  );
}

/** Writes the shader of a variant. Images are stored with zero padding, so the loops test no bounds. */
function shader({
  kernel: [kh, kw],
  stride,
  dilation,
  channels,
  bias,
  residual,
  activation,
}: KernelVariant): string {
  const vectors = channels / 4;
  const [type, lanes] = channels === 1 ? (['f32', ['']] as const) : (['vec4<f32>', range(vectors)] as const);
  const sums = range(PIXELS).flatMap((pixel) =>
    lanes.map((lane) => ({ pixel, lane, name: `s${pixel}${lane}` })),
  );
  const columns = [
    ...new Set(range(PIXELS).flatMap((pixel) => range(kw).map((kx) => pixel * stride[1] + kx * dilation[1]))),
  ].sort((a, b) => a - b);
  const arrays = ['x', 'w', ...(bias ? ['bias'] : []), ...(residual ? ['more'] : []), 'result'];
  const loads = columns.map((column) => `let x${column} = x[at + ${column}u];`);
  const products = range(kw).flatMap((kx) => [
    ...lanes.map((lane, index) => `let w${kx}${lane} = w[weight + ${kx * Math.max(1, vectors) + index}u];`),
    ...sums.map(
      ({ pixel, lane, name }) =>
        `${name} += ${type}(x${pixel * stride[1] + kx * dilation[1]}) * w${kx}${lane};`,
    ),
  ]);
  const store = ({ pixel, lane, name }: (typeof sums)[number]): string => {
    const first = `first${lane}`;
    const value = residual
      ? `${name} + ${type}(${(channels === 1 ? [0] : range(4)).map((i) => `more[moreAt + ${pixel}u + (${first} + ${i}u) * size.morePlane]`).join(', ')})`
      : name;
    const target = (i: number): string => `result[out + ${pixel}u + (${first} + ${i}u) * size.outPlane]`;
    const stores =
      channels === 1
        ? `${target(0)} = y;`
        : range(4)
            .map((i) => `if (${first} + ${i}u < size.outChannels) { ${target(i)} = y[${i}]; }`)
            .join('\n');
    return `if (column + ${pixel}u < size.outWidth) {
let s = ${value};
let y = ${vectorActivation(activation, 's', type)};
${stores}
}`;
  };
  const biasOf = (lane: number | ''): string =>
    channels === 1
      ? 'bias[tile]'
      : `${type}(${range(4)
          .map((i) => `bias[first${lane} + ${i}u]`)
          .join(', ')})`;
  return `struct Sizes { ${sizeNames.map((name) => `${name}: u32`).join(', ')} }
@group(0) @binding(0) var<uniform> size: Sizes;
${arrays
  .map(
    (name, index) =>
      `@group(0) @binding(${index + 1}) var<storage, ${name === 'result' ? 'read_write' : 'read'}> ${name}: array<${name === 'w' ? type : 'f32'}>;`,
  )
  .join('\n')}
@compute @workgroup_size(${WORKGROUP[0]}, ${WORKGROUP[1]}, 1)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
let tile = thread.y;
if (thread.x >= size.tilesAcross * size.outHeight || tile >= size.tiles) { return; }
let row = thread.x / size.tilesAcross;
let column = (thread.x - row * size.tilesAcross) * ${PIXELS}u;
let group = tile / size.tilesPerGroup;
var plane = size.inFirst + thread.z * size.inImage + group * size.perGroup * size.inPlane
  + row * ${stride[0]}u * size.inRow + column * ${stride[1]}u;
var weight = tile * size.perGroup * ${kh * kw * Math.max(1, vectors)}u;
${sums.map(({ name }) => `var ${name} = ${type}(0.0);`).join('\n')}
for (var i = 0u; i < size.perGroup; i++) {
var at = plane;
for (var ky = 0u; ky < ${kh}u; ky++) {
${loads.join('\n')}
${products.join('\n')}
weight += ${kw * Math.max(1, vectors)}u;
at += ${dilation[0]}u * size.inRow;
}
plane += size.inPlane;
}
${lanes.map((lane, index) => `let first${lane} = tile * ${channels}u + ${index * 4}u;`).join('\n')}
${bias ? sums.map(({ lane, name }) => `${name} += ${biasOf(lane)};`).join('\n') : ''}
let out = size.outFirst + thread.z * size.outImage + row * size.outRow + column;
${residual ? 'let moreAt = size.moreFirst + thread.z * size.moreImage + row * size.moreRow + column;' : ''}
${sums.map(store).join('\n')}
}`;
}
