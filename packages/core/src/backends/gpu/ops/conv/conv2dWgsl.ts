/**
 * Convolution for WebGPU, in WGSL: a thread computes a tile of four pixels by up to eight channels in
 * registers, so that a value read serves eight products and a weight four. Sizes are parameters, so that
 * layers that differ in them alone share the kernel.
 */
import type { Activation } from '../../../../ops/activation.js';
import type { Conv2dAttrs } from '../../../../ops/conv2d.js';
import { activate, range } from '../../kernels/shader.js';
import { isFramed, type Layout } from '../../layout/planar.js';
import type { Value } from '../../plan/plan.js';
import type { Lowering } from '../lowering.js';
import { inTiles } from '../packWeights.js';

/** Pixels of a tile, in a row. */
const PIXELS = 4;

/** Threads of a workgroup: pixel tiles by channel tiles. */
const GROUP = [16, 4] as const;

/** What a kernel is made for; everything else is a parameter. */
interface Variant {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly dilation: readonly [number, number];
  /** Channels of a tile. */
  readonly channels: number;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly activation: Activation | undefined;
}

const names = [
  ...['inRow', 'inPlane', 'inImage', 'inFirst', 'outRow', 'outPlane', 'outImage', 'outFirst'],
  ...['outWidth', 'outHeight', 'outChannels', 'tilesAcross', 'perGroup', 'tilesPerGroup', 'tiles'],
  ...['moreRow', 'morePlane', 'moreImage', 'moreFirst'],
] as const;

/** Distances in a picture: of rows, planes and images, and the place of its first pixel. */
function distances({ extents: [, c, h, w], frame }: Layout): readonly [number, number, number, number] {
  return [w!, h! * w!, c! * h! * w!, frame[0] * w! + frame[1]];
}

/** y = activation(x * w + b + residual). */
export function conv2dWgsl(call: Lowering<Conv2dAttrs>): Value {
  const { attrs, node, plan, shape, frame } = call;
  const [x, w, ...more] = call.inputs as [Value, Value, ...Value[]];
  const [out, perGroup, kh, kw] = node.inputs[1]!.shape as unknown as readonly [
    number,
    number,
    number,
    number,
  ];
  const { stride, dilation, padding, groups, activation, residual = false } = attrs;
  const outPerGroup = out / groups;
  const channels = groups === 1 || outPerGroup % 8 === 0 ? 8 : outPerGroup % 4 === 0 ? 4 : 1;
  const tilesPerGroup = Math.ceil(outPerGroup / channels);
  const layout = plan.layout(shape, frame);
  const bias = more.length > (residual ? 1 : 0);
  const [inRow, inPlane, inImage, inFirst] = distances(x.layout);
  const rows = distances(layout);
  const others = distances((residual ? more.at(-1)! : { layout }).layout);
  const [n, , oh, ow] = shape as unknown as readonly [number, number, number, number];
  // Without frames the pixels of a 1x1 convolution are one long row.
  const flat =
    kh * kw * stride[0] * stride[1] === 1 &&
    ![x.layout, layout, ...(residual ? [more.at(-1)!.layout] : [])].some(isFramed);
  const [height, width] = flat ? [1, oh * ow] : [oh, ow];
  const across = Math.ceil(width / PIXELS);
  const tiles = tilesPerGroup * groups;
  const packed = inTiles(plan, w, channels);
  return plan.call(
    {
      language: 'wgsl',
      text: shader({ kernel: [kh, kw], stride, dilation, channels, bias, residual, activation }),
      sizes: [
        ...[inRow, inPlane, inImage, inFirst - padding[0] * inRow - padding[1]],
        ...rows,
        ...[width, height, out, across, perGroup, tilesPerGroup, tiles],
        ...others,
      ],
      workgroups: [Math.ceil((across * height) / GROUP[0]), Math.ceil(tiles / GROUP[1]), n],
    },
    [x, packed, ...more],
    layout,
    `direct ${PIXELS}x${channels}`,
  );
}

/** The shader of a variant. Zeros around the picture are really there, so nothing is tested in the loops. */
function shader({
  kernel: [kh, kw],
  stride,
  dilation,
  channels,
  bias,
  residual,
  activation,
}: Variant): string {
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
let y = ${activate(activation, 's', type)};
${stores}
}`;
  };
  const biasOf = (lane: number | ''): string =>
    channels === 1
      ? 'bias[tile]'
      : `${type}(${range(4)
          .map((i) => `bias[first${lane} + ${i}u]`)
          .join(', ')})`;
  return `struct Sizes { ${names.map((name) => `${name}: u32`).join(', ')} }
@group(0) @binding(0) var<uniform> size: Sizes;
${arrays
  .map(
    (name, index) =>
      `@group(0) @binding(${index + 1}) var<storage, ${name === 'result' ? 'read_write' : 'read'}> ${name}: array<${name === 'w' ? type : 'f32'}>;`,
  )
  .join('\n')}
@compute @workgroup_size(${GROUP[0]}, ${GROUP[1]}, 1)
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
