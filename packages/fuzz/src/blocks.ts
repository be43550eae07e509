/** The blocks of the networks with random sizes: what back ends compute as one, by rows or by a method of its own. */
import { type Node, ops } from '@cnn/core';
import {
  activation,
  type Block,
  channels,
  concat,
  conv,
  convolution,
  globalAvgPool,
  linear,
  norm,
  sameWindow,
  slice,
} from './layers.js';
import { type Sketch, Unfit } from './sketch.js';

const inOrder =
  (...blocks: readonly Block[]): Block =>
  (sketch, x) =>
    blocks.reduce((value, block) => block(sketch, value), x);

/** This block or nothing. */
const perhaps =
  (block: Block): Block =>
  (sketch, x) =>
    sketch.draw.chance(0.7) ? block(sketch, x) : x;

const channelsOf = ({ shape }: Node): number => {
  if (shape.length !== 4) throw new Unfit('That is no batch of pictures.');
  return shape[1]!;
};

const dense =
  (out: number | undefined, kernel: number, stride = 1): Block =>
  (sketch, x) =>
    conv(sketch, x, sameWindow(kernel, stride), out ?? channelsOf(x));

const depthwise =
  (kernel: number, stride = 1): Block =>
  (sketch, x) =>
    conv(sketch, x, sameWindow(kernel, stride), channelsOf(x), channelsOf(x));

const kernelOf = ({ draw }: Sketch): number => draw.pick([1, 3, 3, 5]);

/** Convolution, norm, activation; the norm may stand before it as in DenseNet. */
const convNorm: Block = (sketch, x) =>
  sketch.draw.chance(0.7)
    ? inOrder(convolution, norm, activation)(sketch, x)
    : inOrder(norm, activation, convolution)(sketch, x);

const depthwisePointwise: Block = (sketch, x) => {
  const stride = sketch.draw.pick([1, 1, 2]);
  const rest = inOrder(
    depthwise(kernelOf(sketch), stride),
    perhaps(norm),
    perhaps(activation),
    dense(channels(sketch.draw), 1),
    perhaps(norm),
    perhaps(activation),
  );
  return sketch.draw.chance(0.4)
    ? inOrder(rest, depthwise(kernelOf(sketch)), perhaps(activation))(sketch, x)
    : rest(sketch, x);
};

const squeezeExcitation: Block = (sketch, x) => {
  const c = channelsOf(x);
  const pooled = sketch.draw.chance(0.5)
    ? sketch.add(ops.adaptiveAvgPool, [x], { size: [1, 1] })
    : sketch.add(ops.reshape, [globalAvgPool(sketch, x)], { shape: [x.shape[0]!, c, 1, 1] });
  const gate = inOrder(dense(sketch.draw.between(1, 20), 1), activation, dense(c, 1))(sketch, pooled);
  const fn = sketch.draw.pick(['sigmoid', 'hardSigmoid'] as const);
  return sketch.add(ops.mul, [x, sketch.add(ops.activation, [gate], { fn })], {});
};

/** A shortcut around whatever keeps the shape. */
const residual =
  (branch: Block): Block =>
  (sketch, x) => {
    const y = branch(sketch, x);
    const inputs: readonly [Node, Node] = sketch.draw.chance(0.5) ? [x, y] : [y, x];
    return perhaps(activation)(sketch, sketch.add(ops.add, inputs, {}));
  };

const basicBlock = residual((sketch, x) =>
  inOrder(
    dense(undefined, 3),
    norm,
    activation,
    dense(undefined, kernelOf(sketch)),
    perhaps(norm),
  )(sketch, x),
);

const bottleneck: Block = (sketch, x) => {
  const inner = channels(sketch.draw);
  const c = channelsOf(x);
  const stride = sketch.draw.pick([1, 1, 2]);
  const branch = inOrder(
    dense(inner, 1),
    perhaps(norm),
    activation,
    dense(undefined, 3, stride),
    perhaps(norm),
    activation,
    dense(c, 1),
    perhaps(norm),
  );
  if (stride === 1) return residual(branch)(sketch, x);
  return activation(sketch, sketch.add(ops.add, [branch(sketch, x), dense(c, 1, stride)(sketch, x)], {}));
};

const invertedResidual: Block = (sketch, x) => {
  const c = channelsOf(x);
  const branch = inOrder(
    perhaps(inOrder(dense(c * sketch.draw.between(1, 4), 1), perhaps(norm), activation)),
    depthwise(kernelOf(sketch)),
    perhaps(norm),
    activation,
    perhaps(squeezeExcitation),
    dense(c, 1),
    perhaps(norm),
  );
  return sketch.draw.chance(0.7) ? residual(branch)(sketch, x) : branch(sketch, x);
};

const shuffleUnit: Block = (sketch, x) => {
  const half = channelsOf(x) >> 1;
  if (half < 1) throw new Unfit('One channel has no halves.');
  const part = (start: number, end: number): Node =>
    sketch.add(ops.slice, [x], { axis: 1, start, end, step: 1 });
  const branch = inOrder(dense(half, 1), activation, depthwise(3), perhaps(norm), dense(half, 1), activation);
  const joined = sketch.add(ops.concat, [part(0, half), branch(sketch, part(half, 2 * half))], { axis: 1 });
  return sketch.add(ops.channelShuffle, [joined], { groups: 2 });
};

const denseLayer: Block = (sketch, x) =>
  sketch.add(ops.concat, [x, inOrder(norm, activation, dense(sketch.draw.between(1, 12), 3))(sketch, x)], {
    axis: 1,
  });

const inception: Block = (sketch, x) => {
  const pool = (value: Node): Node =>
    sketch.add(ops.maxPool, [value], { ...sameWindow(3), ceilMode: sketch.draw.chance(0.3) });
  const few = (): number => sketch.draw.between(1, 20);
  return sketch.add(
    ops.concat,
    [
      dense(few(), 1)(sketch, x),
      inOrder(dense(few(), 1), activation, dense(few(), 3), activation)(sketch, x),
      inOrder(dense(few(), 1), activation, dense(few(), 5))(sketch, x),
      dense(few(), 1)(sketch, pool(x)),
    ],
    { axis: 1 },
  );
};

const classifier = inOrder(globalAvgPool, perhaps(linear));

/** Blocks for batches of pictures. */
export const pictureBlocks: readonly Block[] = [
  convNorm,
  convNorm,
  depthwisePointwise,
  depthwisePointwise,
  squeezeExcitation,
  basicBlock,
  bottleneck,
  invertedResidual,
  invertedResidual,
  shuffleUnit,
  denseLayer,
  inception,
  classifier,
  inOrder(slice, slice),
  inOrder(concat, concat),
  inOrder(slice, convolution),
];
