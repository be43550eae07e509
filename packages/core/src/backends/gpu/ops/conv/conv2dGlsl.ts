/**
 * Convolution for WebGL2, in GLSL: a fragment computes four channels of four adjacent pixels. A texel of the
 * input holds four channels too, so eight texels read serve 64 products. Sizes are parameters, so layers that
 * differ only in them share a kernel.
 */
import type { Graph, Node } from '../../../../graph/graph.js';
import type { Activation } from '../../../../ops/activation.js';
import type { Conv2dAttrs } from '../../../../ops/conv2d.js';
import { pictureShape } from '../../../../ops/define.js';
import { isOp } from '../../../../ops/index.js';
import type { Padding } from '../../../../ops/window.js';
import type { Shape } from '../../../../tensor/shape.js';
import { type Tensor, valuesOf } from '../../../../tensor/tensor.js';
import { range, vectorActivation } from '../../kernels/shader.js';
import { channelBlocks, PACK } from '../../layout/packed.js';
import type { Layout } from '../../layout/types.js';
import type { PlannedTensor } from '../../plan/plan.js';
import type { LoweringContext } from '../lowering.js';
import { constantOf } from '../packWeights.js';

/** Properties that are compiled into a kernel. */
interface KernelVariant {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly padding: Padding;
  readonly depthwise: boolean;
  /** Input channels of a texel that are used: 4, or fewer if a group has fewer. */
  readonly lanes: number;
  readonly bias: boolean;
  readonly epilogue: Epilogue;
}

/**
 * Operations on a sum before it is stored. Layers that differ only in these share a kernel, with a parameter
 * for each that is optional: to compile another kernel takes longer than all layers take to test a parameter.
 */
interface Epilogue {
  /** True if all layers that share the kernel add a residual. */
  readonly residual: boolean | 'optional';
  readonly activation: Activation | undefined;
  /** True if some of the layers have no activation. */
  readonly optionalActivation: boolean;
}

/** Parameters of the kernel, in order. Names that begin with `more` are the residual's. */
const sizeNames = [
  'outWidth',
  'outHeight',
  'outBlocks',
  'top',
  'left',
  'innerWidth',
  'innerHeight',
  'inWidth',
  'inHeight',
  'inBlocks',
  'inTop',
  'inLeft',
  'depth',
  'blocksPerGroup',
  'moreWidth',
  'moreHeight',
  'moreTop',
  'moreLeft',
  'seenWidth',
  'adds',
  'activates',
] as const;

type Sizes = Readonly<Record<(typeof sizeNames)[number], number>>;

/** Most weights read by a row of unrolled taps. Longer rows are loops, which compile faster. */
const MAX_UNROLLED_READS = 20;

/** Gives an image's size with padding, and the padding before its first pixel. */
const imageSize = ({
  paddedShape,
  padding,
}: Layout): {
  readonly width: number;
  readonly height: number;
  readonly top: number;
  readonly left: number;
} => ({ width: paddedShape[3]!, height: paddedShape[2]!, top: padding[0], left: padding[1] });

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

const isDepthwise = (weight: Shape, groups: number): boolean => {
  const [out, perGroup] = weightShape(weight);
  return perGroup === 1 && out === groups;
};

/**
 * True if a convolution with constant weights has a kernel here: it has one group, is depthwise, or its
 * groups are blocks of four channels.
 */
export const hasGlslKernel = (weight: Shape, groups: number): boolean => {
  const [out, perGroup] = weightShape(weight);
  return (
    groups === 1 || isDepthwise(weight, groups) || (perGroup % PACK === 0 && (out / groups) % PACK === 0)
  );
};

/**
 * Attributes of the convolutions of each graph by the kernel they can share. A kernel depends on all of them
 * (its epilogue covers every layer), while lowerings see one node at a time, so the first convolution lowered
 * groups those of its graph.
 */
const sharedKernels = new WeakMap<Graph, ReadonlyMap<string, readonly Conv2dAttrs[]>>();

/** Names all that two convolutions must have in common to share a kernel. */
function kernelKey({ attrs, inputs }: Node<Conv2dAttrs>): string {
  const { stride, padding, dilation, groups, residual } = attrs;
  const weight = inputs[1]!.shape;
  const [, perGroup, kh, kw] = weightShape(weight);
  const bias = inputs.length - (residual ? 1 : 0) > 2;
  const lanes = perGroup < PACK && perGroup;
  return JSON.stringify([kh, kw, stride, padding, dilation, isDepthwise(weight, groups), lanes, bias]);
}

/** Gives the attributes of the convolutions that share a kernel with a node, the node included. */
function layersOfKernel(node: Node<Conv2dAttrs>): readonly Conv2dAttrs[] {
  const { graph } = node;
  let kernels = sharedKernels.get(graph);
  if (!kernels) {
    const layers = new Map<string, Conv2dAttrs[]>();
    for (const other of graph.nodes) {
      if (!isOp(other, 'conv2d')) continue;
      const key = kernelKey(other);
      layers.set(key, [...(layers.get(key) ?? []), other.attrs]);
    }
    kernels = layers;
    sharedKernels.set(graph, kernels);
  }
  return kernels.get(kernelKey(node))!;
}

/** Gives the epilogue of a node's kernel. */
function epilogueOf(node: Node<Conv2dAttrs>): Epilogue {
  const layers = layersOfKernel(node);
  const residuals = layers.filter(({ residual }) => residual).length;
  // Layers without an activation share the kernel of the first layer that has one.
  const first = layers.find(({ activation }) => activation)?.activation;
  const activation = node.attrs.activation ?? first;
  const isShared = JSON.stringify(activation) === JSON.stringify(first);
  return {
    residual: residuals === layers.length || (residuals > 0 && 'optional'),
    activation,
    optionalActivation: activation !== undefined && isShared && layers.some((attrs) => !attrs.activation),
  };
}

/**
 * y = activation(x * w + b + residual); undefined if runs update the weight, or its groups are no blocks of
 * four channels.
 */
export function conv2dGlsl(context: LoweringContext<Conv2dAttrs>): PlannedTensor | undefined {
  const { attrs, node, plan, shape, storedPadding } = context;
  const [x, w, ...more] = context.inputs as [PlannedTensor, PlannedTensor, ...PlannedTensor[]];
  const weight = node.inputs[1]!.shape;
  const [out, perGroup, kh, kw] = weightShape(weight);
  const { stride, dilation, padding, groups, activation } = attrs;
  const depthwise = isDepthwise(weight, groups);
  const constant = constantOf(w);
  if (!constant || !hasGlslKernel(weight, groups)) return undefined;
  const residual = attrs.residual ? more.at(-1)! : undefined;
  const bias = more.length > (residual ? 1 : 0);
  const epilogue = epilogueOf(node);
  const layout = plan.layout(shape, storedPadding);
  const weights = depthwise
    ? plan.prepacked([channelBlocks(out) * kh * kw, PACK], (staged) => packDepthwiseWeights(constant, staged))
    : plan.prepackedLayers(channelBlocks(out) * channelBlocks(perGroup) * kh * kw * PACK, (staged) =>
        packWeights(constant, staged),
      );
  const outSize = imageSize(layout);
  const inSize = imageSize(x.layout);
  const moreSize = residual ? imageSize(residual.layout) : outSize;
  const [, , innerHeight, innerWidth] = pictureShape('conv2d', shape);
  const [, inChannels, , inputWidth] = pictureShape('conv2d', x.layout.shape);
  const sizes: Sizes = {
    outWidth: outSize.width,
    outHeight: outSize.height,
    outBlocks: channelBlocks(out),
    top: outSize.top,
    left: outSize.left,
    innerWidth,
    innerHeight,
    inWidth: inSize.width,
    inHeight: inSize.height,
    inBlocks: channelBlocks(inChannels),
    inTop: inSize.top - padding[0],
    inLeft: inSize.left - padding[1],
    depth: channelBlocks(perGroup),
    blocksPerGroup: channelBlocks(out / groups),
    moreWidth: moreSize.width,
    moreHeight: moreSize.height,
    moreTop: moreSize.top,
    moreLeft: moreSize.left,
    seenWidth: inputWidth,
    adds: residual ? 1 : 0,
    activates: activation ? 1 : 0,
  };
  const lanes = Math.min(perGroup, PACK);
  return plan.call(
    {
      language: 'glsl',
      text: shader({ kernel: [kh, kw], stride, dilation, padding, depthwise, lanes, bias, epilogue }),
      sizes: sizeNames.map((name) => sizes[name]),
    },
    // A kernel with an optional residual needs some texture to be bound where there is none.
    [x, weights, ...more, ...(epilogue.residual && !residual ? [x] : [])],
    layout,
    depthwise ? 'depthwise 4x4' : 'direct 4x4',
  );
}

/**
 * Writes the shader of a variant. Rows above and below an image are stored as zeros. Columns beside it are
 * not, since they would add whole quads of pixels to each row: what is read there is multiplied by a zero
 * computed before the loops.
 */
function shader({
  kernel: [kh, kw],
  stride,
  dilation,
  padding,
  depthwise,
  lanes,
  bias,
  epilogue: { residual, activation, optionalActivation },
}: KernelVariant): string {
  const pixels = range(PACK);
  const columns = new Set(
    pixels.flatMap((pixel) => range(kw).map((kx) => pixel * stride[1] + kx * dilation[1])),
  );
  const column = (pixel: number, kx: number): string => `x${pixel * stride[1] + kx * dilation[1]}`;
  const [, before, , after] = padding;
  const outputIsNoWider = stride[1] === 1 && before + after <= (kw - 1) * dilation[1];
  // Columns that may lie before the first pixel of a row, or after the last and not in the padding that fills
  // its quad.
  const outside = [...columns].filter(
    (at) =>
      at < before ||
      (!(outputIsNoWider && at < before + PACK) &&
        pixels.some((pixel) =>
          range(kw).some(
            (kx) => at === pixel * stride[1] + kx * dilation[1] && (kw - 1 - kx) * dilation[1] < after,
          ),
        )),
  );
  const maskOf = (inputColumn: string): string =>
    `${inputColumn} >= 0 && ${inputColumn} < seenWidth ? 1.0 : 0.0`;
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
  const isLoop = kw * lanes > MAX_UNROLLED_READS;
  const unrolledTaps = (): string => `${[...columns]
    .map((at) => `vec4 x${at} = fetch0(at + ${at})${outside.includes(at) ? ` * inside${at}` : ''};`)
    .join('\n')}
${range(kw)
  .map((kx) => products(kx, (pixel) => column(pixel, kx)))
  .join('\n')}`;
  const loopOverTaps = (): string => `for (int kx = 0; kx < ${kw}; kx++) {
int tap = kx * ${dilation[1]};
${pixels
  .map((pixel) => {
    const inputColumn = `(column * ${stride[1]} + tap + ${pixel * stride[1] - before})`;
    const inside = outside.length > 0 ? ` * (${maskOf(inputColumn)})` : '';
    return `vec4 x${pixel} = fetch0(at + tap + ${pixel * stride[1]})${inside};`;
  })
  .join('\n')}
${products('kx', (pixel) => `x${pixel}`)}
}`;
  const line = `${isLoop ? loopOverTaps() : unrolledTaps()}
weight += ${kw};
at += step;`;
  const taps = kh === 1 ? line : `for (int ky = 0; ky < ${kh}; ky++) {\n${line}\n}`;
  const store = (pixel: number): string => {
    const when = (parameter: string, optional: boolean): string =>
      optional ? `if (${parameter} != 0) ` : '';
    return `if (column + ${pixel} >= 0 && column + ${pixel} < innerWidth) {
vec4 s = s${pixel}${bias ? ' + shift' : ''};
${residual ? `${when('adds', residual === 'optional')}s += fetch${bias ? 3 : 2}(more + ${pixel});` : ''}
${activation ? `${when('activates', optionalActivation)}s = ${vectorActivation(activation, 's', 'vec4')};` : ''}
y${pixel} = s;
}`;
  };
  return `void compute(int quad) {
${sizeNames.map((name, index) => `int ${name} = sizes[${index}];`).join('\n')}
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
${isLoop ? '' : outside.map((at) => `float inside${at} = ${maskOf(`(column * ${stride[1]} + ${at - before})`)};`).join('\n')}
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
