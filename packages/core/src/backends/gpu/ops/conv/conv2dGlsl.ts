/**
 * Convolution for WebGL2, in GLSL: a fragment computes four channels of four pixels in a row, and a texel of
 * the input holds four channels too, so that eight texels read serve 64 products. Sizes are parameters, so
 * that layers that differ in them alone share the kernel.
 */
import type { Graph, Node } from '../../../../graph/graph.js';
import type { Activation } from '../../../../ops/activation.js';
import type { Conv2dAttrs } from '../../../../ops/conv2d.js';
import { isOp } from '../../../../ops/index.js';
import type { Padding } from '../../../../ops/window.js';
import type { Shape } from '../../../../tensor/shape.js';
import { type Tensor, valuesOf } from '../../../../tensor/tensor.js';
import { activate, range } from '../../kernels/shader.js';
import { blocksOf, PACK } from '../../layout/packed.js';
import type { Layout } from '../../layout/planar.js';
import type { Value } from '../../plan/plan.js';
import type { Lowering } from '../lowering.js';
import { onHost } from '../packWeights.js';

/** What a kernel is made for; everything else is a parameter. */
interface Variant {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly padding: Padding;
  /** Each channel on its own. */
  readonly depthwise: boolean;
  /** Input channels of a texel that are more than zeros. */
  readonly lanes: number;
  readonly bias: boolean;
  readonly ending: Ending;
}

/**
 * What happens to a sum on its way out. Layers that differ in that alone share a kernel, and parameters say
 * which of it they want: a kernel takes longer to compile than all layers to test a parameter.
 */
interface Ending {
  readonly residual: boolean | 'sometimes';
  readonly activation: Activation | undefined;
  /** Whether some layers have no activation. */
  readonly bare: boolean;
}

type Extents = readonly [number, number, number, number];

const names = [
  ...['outWidth', 'outHeight', 'outBlocks', 'top', 'left', 'innerWidth', 'innerHeight'],
  ...['inWidth', 'inHeight', 'inBlocks', 'inTop', 'inLeft', 'depth', 'blocksPerGroup'],
  ...['moreWidth', 'moreHeight', 'moreTop', 'moreLeft', 'seenWidth', 'adds', 'activates'],
] as const;

/** Weights read for a row of taps up to which the taps are written out; longer rows are loops, which compile faster. */
const MOST_READS = 20;

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
function packWeights(weight: Tensor, held: Float32Array): void {
  const [out, perGroup, kh, kw] = weight.shape as Extents;
  const taps = kh * kw;
  const row = perGroup * taps;
  const block = blocksOf(perGroup) * taps * PACK;
  const layer = held.length / PACK;
  for (let first = 0; first < out; first += PACK) {
    const end = Math.min(first + PACK, out);
    const values = valuesOf(weight, first * row, end * row);
    for (let o = 0; o < end - first; o++)
      for (let i = 0; i < perGroup; i++) {
        const to = (i % PACK) * layer + (first / PACK) * block + Math.floor(i / PACK) * taps * PACK + o;
        const from = o * row + i * taps;
        for (let tap = 0; tap < taps; tap++) held[to + tap * PACK] = values[from + tap]!;
      }
  }
}

/** Weights of a depthwise convolution as texels of four channels, tap by tap. */
function packDepthwise({ shape, data }: Tensor, held: Float32Array): void {
  const [out, , kh, kw] = shape as Extents;
  const taps = kh * kw;
  for (let c = 0; c < out; c++)
    for (let tap = 0; tap < taps; tap++)
      held[(Math.floor(c / PACK) * taps + tap) * PACK + (c % PACK)] = data[c * taps + tap]!;
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

const endings = new WeakMap<Graph, ReadonlyMap<string, readonly Conv2dAttrs[]>>();

/** Attributes of the convolutions of a graph that can share a kernel. */
function sharingWith(node: Node<Conv2dAttrs>): readonly Conv2dAttrs[] {
  const keyOf = ({ attrs, inputs }: Node<Conv2dAttrs>): string => {
    const { stride, padding, dilation, groups, residual } = attrs;
    const weight = inputs[1]!.shape as unknown as Extents;
    const depthwise = isDepthwise(weight, groups);
    const bias = inputs.length - (residual ? 1 : 0) > 2;
    return JSON.stringify([
      weight.slice(2),
      stride,
      padding,
      dilation,
      depthwise,
      weight[1] < PACK && weight[1],
      bias,
    ]);
  };
  let known = endings.get(node.graph);
  if (!known) {
    const convolutions = node.graph.nodes.filter((other) => isOp(other, 'conv2d'));
    const groups = new Map<string, Conv2dAttrs[]>();
    for (const other of convolutions) {
      const key = keyOf(other);
      groups.set(key, [...(groups.get(key) ?? []), other.attrs]);
    }
    known = groups;
    endings.set(node.graph, known);
  }
  return known.get(keyOf(node))!;
}

/** How the kernel of a convolution ends. */
function endingOf(node: Node<Conv2dAttrs>): Ending {
  const all = sharingWith(node);
  const some = all.filter(({ residual }) => residual).length;
  // Those without an activation go with the first that has one.
  const first = all.find(({ activation }) => activation)?.activation;
  const activation = node.attrs.activation ?? first;
  const bare = JSON.stringify(activation) === JSON.stringify(first) && all.some((attrs) => !attrs.activation);
  return {
    residual: some === all.length || (some > 0 && 'sometimes'),
    activation,
    bare: activation !== undefined && bare,
  };
}

/** y = activation(x * w + b + residual); undefined where weights change or groups do not fall into blocks of four. */
export function conv2dGlsl(call: Lowering<Conv2dAttrs>): Value | undefined {
  const { attrs, node, plan, shape, frame } = call;
  const [x, w, ...more] = call.inputs as [Value, Value, ...Value[]];
  const weight = node.inputs[1]!.shape as unknown as Extents;
  const [out, perGroup, kh, kw] = weight;
  const { stride, dilation, padding, groups, activation, residual = false } = attrs;
  const outPerGroup = out / groups;
  const depthwise = isDepthwise(weight, groups);
  const host = onHost(w);
  if (!host || !hasShader(weight, groups)) return undefined;
  const bias = more.length > (residual ? 1 : 0);
  const ending = endingOf(node);
  const layout = plan.layout(shape, frame);
  const packed = depthwise
    ? plan.arranged([blocksOf(out) * kh * kw, PACK], (held) => packDepthwise(host, held))
    : plan.layers(blocksOf(out) * blocksOf(perGroup) * kh * kw * PACK, (held) => packWeights(host, held));
  const [outWidth, outHeight, top, left] = extentsOf(layout);
  const [inWidth, inHeight, inTop, inLeft] = extentsOf(x.layout);
  return plan.call(
    {
      language: 'glsl',
      text: shader({
        ...{ kernel: [kh, kw], stride, dilation, padding, depthwise, bias, ending },
        lanes: Math.min(perGroup, PACK),
      }),
      sizes: [
        ...[outWidth, outHeight, blocksOf(out), top, left, shape[3]!, shape[2]!],
        ...[inWidth, inHeight, blocksOf(x.layout.shape[1]!), inTop - padding[0], inLeft - padding[1]],
        ...[blocksOf(perGroup), blocksOf(outPerGroup)],
        ...extentsOf((residual ? more.at(-1)! : { layout }).layout),
        ...[x.layout.shape[3]!, residual ? 1 : 0, activation ? 1 : 0],
      ],
    },
    // A texture has to be there, also where it is not read.
    [x, packed, ...more, ...(ending.residual && !residual ? [x] : [])],
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
  lanes,
  bias,
  ending: { residual, activation, bare },
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
  const insideOf = (seen: string): string => `${seen} >= 0 && ${seen} < seenWidth ? 1.0 : 0.0`;
  const products = (kx: number | string, columnOf: (pixel: number) => string): string =>
    depthwise
      ? `w = fetch1(weight + ${kx});
${pixels.map((pixel) => `s${pixel} += ${columnOf(pixel)} * w;`).join('\n')}`
      : range(lanes)
          .map(
            (lane) => `w = layer1(weight + ${kx}, ${lane});
${pixels.map((pixel) => `s${pixel} += ${columnOf(pixel)}[${lane}] * w;`).join('\n')}`,
          )
          .join('\n');
  const loops = kw * lanes > MOST_READS;
  const writtenOut = (): string => `${[...columns]
    .map((at) => `vec4 x${at} = fetch0(at + ${at})${outside.includes(at) ? ` * inside${at}` : ''};`)
    .join('\n')}
${range(kw)
  .map((kx) => products(kx, (pixel) => column(pixel, kx)))
  .join('\n')}`;
  const looped = (): string => `for (int kx = 0; kx < ${kw}; kx++) {
int tap = kx * ${dilation[1]};
${pixels
  .map((pixel) => {
    const seen = `(column * ${stride[1]} + tap + ${pixel * stride[1] - before})`;
    const inside = outside.length > 0 ? ` * (${insideOf(seen)})` : '';
    return `vec4 x${pixel} = fetch0(at + tap + ${pixel * stride[1]})${inside};`;
  })
  .join('\n')}
${products('kx', (pixel) => `x${pixel}`)}
}`;
  const line = `${loops ? looped() : writtenOut()}
weight += ${kw};
at += step;`;
  const taps = kh === 1 ? line : `for (int ky = 0; ky < ${kh}; ky++) {\n${line}\n}`;
  const store = (pixel: number): string => {
    const when = (parameter: string, sometimes: boolean): string =>
      sometimes ? `if (${parameter} != 0) ` : '';
    return `if (column + ${pixel} >= 0 && column + ${pixel} < innerWidth) {
vec4 s = s${pixel}${bias ? ' + shift' : ''};
${residual ? `${when('adds', residual === 'sometimes')}s += fetch${bias ? 3 : 2}(more + ${pixel});` : ''}
${activation ? `${when('activates', bare)}s = ${activate(activation, 's', 'vec4')};` : ''}
y${pixel} = s;
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
${loops ? '' : outside.map((at) => `float inside${at} = ${insideOf(`(column * ${stride[1]} + ${at - before})`)};`).join('\n')}
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
