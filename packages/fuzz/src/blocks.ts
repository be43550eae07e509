/** Blocks of the networks with random sizes, which back ends fuse or compute by special algorithms. */
import type { Node } from '@cnn/core';
import { ops } from '@cnn/core/graph';
import { BlockMismatch, type GraphBuilder } from './graphBuilder.js';
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

const inOrder =
  (...blocks: readonly Block[]): Block =>
  (builder, x) =>
    blocks.reduce((value, block) => block(builder, value), x);

/** Applies the block with probability 0.7. */
const perhaps =
  (block: Block): Block =>
  (builder, x) =>
    builder.draw.chance(0.7) ? block(builder, x) : x;

const channelsOf = ({ shape }: Node): number => {
  if (shape.length !== 4) throw new BlockMismatch('The value is not a batch of pictures.');
  return shape[1]!;
};

const dense =
  (out: number | undefined, kernel: number, stride = 1): Block =>
  (builder, x) =>
    conv(builder, x, sameWindow(kernel, stride), out ?? channelsOf(x));

const depthwise =
  (kernel: number, stride = 1): Block =>
  (builder, x) =>
    conv(builder, x, sameWindow(kernel, stride), channelsOf(x), channelsOf(x));

const kernelOf = ({ draw }: GraphBuilder): number => draw.pick([1, 3, 3, 5]);

/** Convolution, norm, activation; or norm, activation, convolution as in DenseNet. */
const convNorm: Block = (builder, x) =>
  builder.draw.chance(0.7)
    ? inOrder(convolution, norm, activation)(builder, x)
    : inOrder(norm, activation, convolution)(builder, x);

const depthwisePointwise: Block = (builder, x) => {
  const stride = builder.draw.pick([1, 1, 2]);
  const rest = inOrder(
    depthwise(kernelOf(builder), stride),
    perhaps(norm),
    perhaps(activation),
    dense(channels(builder.draw), 1),
    perhaps(norm),
    perhaps(activation),
  );
  return builder.draw.chance(0.4)
    ? inOrder(rest, depthwise(kernelOf(builder)), perhaps(activation))(builder, x)
    : rest(builder, x);
};

const squeezeExcitation: Block = (builder, x) => {
  const c = channelsOf(x);
  const pooled = builder.draw.chance(0.5)
    ? builder.add(ops.adaptiveAvgPool, [x], { size: [1, 1] })
    : builder.add(ops.reshape, [globalAvgPool(builder, x)], { shape: [x.shape[0]!, c, 1, 1] });
  const gate = inOrder(dense(builder.draw.between(1, 20), 1), activation, dense(c, 1))(builder, pooled);
  const fn = builder.draw.pick(['sigmoid', 'hardSigmoid'] as const);
  return builder.add(ops.mul, [x, builder.add(ops.activation, [gate], { fn })], {});
};

/** Adds a shortcut around a branch that keeps the shape. */
const residual =
  (branch: Block): Block =>
  (builder, x) => {
    const y = branch(builder, x);
    const inputs: readonly [Node, Node] = builder.draw.chance(0.5) ? [x, y] : [y, x];
    return perhaps(activation)(builder, builder.add(ops.add, inputs, {}));
  };

const basicBlock = residual((builder, x) =>
  inOrder(
    dense(undefined, 3),
    norm,
    activation,
    dense(undefined, kernelOf(builder)),
    perhaps(norm),
  )(builder, x),
);

const bottleneck: Block = (builder, x) => {
  const inner = channels(builder.draw);
  const c = channelsOf(x);
  const stride = builder.draw.pick([1, 1, 2]);
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
  if (stride === 1) return residual(branch)(builder, x);
  return activation(builder, builder.add(ops.add, [branch(builder, x), dense(c, 1, stride)(builder, x)], {}));
};

const invertedResidual: Block = (builder, x) => {
  const c = channelsOf(x);
  const branch = inOrder(
    perhaps(inOrder(dense(c * builder.draw.between(1, 4), 1), perhaps(norm), activation)),
    depthwise(kernelOf(builder)),
    perhaps(norm),
    activation,
    perhaps(squeezeExcitation),
    dense(c, 1),
    perhaps(norm),
  );
  return builder.draw.chance(0.7) ? residual(branch)(builder, x) : branch(builder, x);
};

const shuffleUnit: Block = (builder, x) => {
  const half = channelsOf(x) >> 1;
  if (half < 1) throw new BlockMismatch('One channel cannot be split into halves.');
  const part = (start: number, end: number): Node =>
    builder.add(ops.slice, [x], { axis: 1, start, end, step: 1 });
  const branch = inOrder(dense(half, 1), activation, depthwise(3), perhaps(norm), dense(half, 1), activation);
  const concatenated = builder.add(ops.concat, [part(0, half), branch(builder, part(half, 2 * half))], {
    axis: 1,
  });
  return builder.add(ops.channelShuffle, [concatenated], { groups: 2 });
};

const denseLayer: Block = (builder, x) =>
  builder.add(ops.concat, [x, inOrder(norm, activation, dense(builder.draw.between(1, 12), 3))(builder, x)], {
    axis: 1,
  });

const inception: Block = (builder, x) => {
  const pool = (value: Node): Node =>
    builder.add(ops.maxPool, [value], { ...sameWindow(3), ceilMode: builder.draw.chance(0.3) });
  const few = (): number => builder.draw.between(1, 20);
  return builder.add(
    ops.concat,
    [
      dense(few(), 1)(builder, x),
      inOrder(dense(few(), 1), activation, dense(few(), 3), activation)(builder, x),
      inOrder(dense(few(), 1), activation, dense(few(), 5))(builder, x),
      dense(few(), 1)(builder, pool(x)),
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
