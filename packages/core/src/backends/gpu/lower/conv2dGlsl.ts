/**
 * Convolution for WebGL2, in GLSL: a fragment computes four channels of four pixels in a row, and a texel of
 * the input holds four channels too, so that eight texels read serve 64 products. Sizes are parameters, so
 * that layers that differ in them alone share the kernel.
 */
import type { Activation } from '../../../ops/activation.js';
import type { Conv2dAttrs } from '../../../ops/conv2d.js';
import type { Padding } from '../../../ops/window.js';
import type { Shape } from '../../../tensor/shape.js';
import type { Layout } from '../layout.js';
import { blocksOf, PACK } from '../packed.js';
import type { Value } from '../plan.js';
import type { Lowering } from './lowering.js';
import { hostData } from './repack.js';
import { activate, range } from './vector.js';

/** What a kernel is made for; everything else is a parameter. */
interface Variant {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly padding: Padding;
  /** Each channel on its own. */
  readonly depthwise: boolean;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly activation: Activation | undefined;
}

type Extents = readonly [number, number, number, number];

const names = [
  ...['outWidth', 'outHeight', 'outBlocks', 'top', 'left', 'innerWidth', 'innerHeight'],
  ...['inWidth', 'inHeight', 'inBlocks', 'inTop', 'inLeft', 'depth', 'blocksPerGroup'],
  ...['moreWidth', 'moreHeight', 'moreTop', 'moreLeft', 'seenWidth'],
] as const;

const extentsOf = ({
  extents,
  frame,
}: Layout): readonly [width: number, height: number, top: number, left: number] => [
  extents[3]!,
  extents[2]!,
  frame[0],
  frame[1],
];

/**
 * Weights as texels of four output channels: by block of those, then by block of input channels and tap; each
 * input channel of a block has a layer.
 */
function packWeights(data: Float32Array, [out, perGroup, kh, kw]: Extents): Float32Array {
  const taps = kh * kw;
  const depth = blocksOf(perGroup);
  const layer = blocksOf(out) * depth * taps * PACK;
  const packed = new Float32Array(layer * PACK);
  for (let o = 0; o < out; o++)
    for (let i = 0; i < perGroup; i++) {
      const block = (Math.floor(o / PACK) * depth + Math.floor(i / PACK)) * taps;
      const to = (i % PACK) * layer + block * PACK + (o % PACK);
      const from = (o * perGroup + i) * taps;
      for (let tap = 0; tap < taps; tap++) packed[to + tap * PACK] = data[from + tap]!;
    }
  return packed;
}

/** Weights of a depthwise convolution as texels of four channels, tap by tap. */
function packDepthwise(data: Float32Array, [out, , kh, kw]: Extents): Float32Array {
  const taps = kh * kw;
  const packed = new Float32Array(blocksOf(out) * taps * PACK);
  for (let c = 0; c < out; c++)
    for (let tap = 0; tap < taps; tap++)
      packed[(Math.floor(c / PACK) * taps + tap) * PACK + (c % PACK)] = data[c * taps + tap]!;
  return packed;
}

const isDepthwise = ([out, perGroup]: Extents, groups: number): boolean => perGroup === 1 && out === groups;

/** Whether a convolution of constant weights has a shader here: groups fall into blocks of four, or are single channels. */
export const hasShader = (weight: Shape, groups: number): boolean => {
  const [out, perGroup] = weight as Extents;
  return (
    groups === 1 ||
    isDepthwise(weight as Extents, groups) ||
    (perGroup % PACK === 0 && (out / groups) % PACK === 0)
  );
};

/** y = activation(x * w + b + residual); undefined where weights change or groups do not fall into blocks of four. */
export function conv2dGlsl(call: Lowering<Conv2dAttrs>): Value | undefined {
  const { attrs, node, plan, shape, frame } = call;
  const [x, w, ...more] = call.inputs as [Value, Value, ...Value[]];
  const weight = node.inputs[1]!.shape as unknown as Extents;
  const [out, perGroup, kh, kw] = weight;
  const { stride, dilation, padding, groups, activation, residual = false } = attrs;
  const outPerGroup = out / groups;
  const depthwise = isDepthwise(weight, groups);
  const data = hostData(w);
  if (!data || !hasShader(weight, groups)) return undefined;
  const bias = more.length > (residual ? 1 : 0);
  const layout = plan.layout(shape, frame);
  const packed = depthwise
    ? plan.constant(() => packDepthwise(data(), weight), [blocksOf(out) * kh * kw, PACK])
    : plan.layers(blocksOf(out) * blocksOf(perGroup) * kh * kw * PACK, () => packWeights(data(), weight));
  const [outWidth, outHeight, top, left] = extentsOf(layout);
  const [inWidth, inHeight, inTop, inLeft] = extentsOf(x.layout);
  return plan.call(
    {
      language: 'glsl',
      text: shader({ kernel: [kh, kw], stride, dilation, padding, depthwise, bias, residual, activation }),
      sizes: [
        ...[outWidth, outHeight, blocksOf(out), top, left, shape[3]!, shape[2]!],
        ...[inWidth, inHeight, blocksOf(x.layout.shape[1]!), inTop - padding[0], inLeft - padding[1]],
        ...[blocksOf(perGroup), blocksOf(outPerGroup)],
        ...extentsOf((residual ? more.at(-1)! : { layout }).layout),
        x.layout.shape[3]!,
      ],
    },
    [x, packed, ...more],
    layout,
    depthwise ? 'depthwise 4x4' : 'direct 4x4',
  );
}

/**
 * The shader of a variant. Zeros above and below are really there; what a row would see of its neighbours is
 * multiplied by a zero that is known before the loops: zeros beside the rows would cost whole quads of pixels.
 */
function shader({
  kernel: [kh, kw],
  stride,
  dilation,
  padding,
  depthwise,
  bias,
  residual,
  activation,
}: Variant): string {
  const pixels = range(PACK);
  const columns = new Set(
    pixels.flatMap((pixel) => range(kw).map((kx) => pixel * stride[1] + kx * dilation[1])),
  );
  const column = (pixel: number, kx: number): string => `x${pixel * stride[1] + kx * dilation[1]}`;
  // Those that may lie before the first pixel of a row, or behind its last and not in what fills up the quad.
  const [, before, , after] = padding;
  const shrinks = stride[1] === 1 && before + after <= (kw - 1) * dilation[1];
  const outside = [...columns].filter(
    (at) =>
      at < before ||
      (!(shrinks && at < before + PACK) &&
        pixels.some((pixel) =>
          range(kw).some(
            (kx) => at === pixel * stride[1] + kx * dilation[1] && (kw - 1 - kx) * dilation[1] < after,
          ),
        )),
  );
  const loads = [...columns].map(
    (at) => `vec4 x${at} = fetch0(at + ${at})${outside.includes(at) ? ` * inside${at}` : ''};`,
  );
  const products = range(kw).map((kx) =>
    depthwise
      ? `w = fetch1(weight + ${kx});
${pixels.map((pixel) => `s${pixel} += ${column(pixel, kx)} * w;`).join('\n')}`
      : pixels
          .map(
            (lane) => `w = layer1(weight + ${kx}, ${lane});
${pixels.map((pixel) => `s${pixel} += ${column(pixel, kx)}[${lane}] * w;`).join('\n')}`,
          )
          .join('\n'),
  );
  const line = `${loads.join('\n')}
${products.join('\n')}
weight += ${kw};
at += step;`;
  const taps = kh === 1 ? line : `for (int ky = 0; ky < ${kh}; ky++) {\n${line}\n}`;
  const store = (pixel: number): string => {
    const more = residual ? ` + fetch${bias ? 3 : 2}(more + ${pixel})` : '';
    return `if (column + ${pixel} >= 0 && column + ${pixel} < innerWidth) {
vec4 s = s${pixel}${bias ? ' + shift' : ''}${more};
y${pixel} = ${activate(activation, 's', 'vec4')};
}`;
  };
  return `void compute(int quad) {
${names.map((name, index) => `int ${name} = sizes[${index}];`).join('\n')}
int step = ${dilation[0]} * inWidth;
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
${outside
  .map((at) => {
    const seen = `column * ${stride[1]} + ${at - before}`;
    return `float inside${at} = ${seen} >= 0 && ${seen} < seenWidth ? 1.0 : 0.0;`;
  })
  .join('\n')}
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
${pixels.map(store).join('\n')}
}`;
}
