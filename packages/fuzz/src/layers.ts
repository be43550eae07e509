/** Blocks of a single op with random attributes. */
import { type Activation, type Node, type Padding, type Shape, sizeOf } from '@cnn/core';
import { ops, symmetric, type Window } from '@cnn/core/graph';
import { everyActivation } from '@cnn/testing/samples';
import type { Draw } from './draw.js';
import { BlockMismatch, type GraphBuilder } from './graphBuilder.js';

/** Appends ops that read x and returns the result. @throws BlockMismatch if they cannot be applied to x. */
export type Block = (builder: GraphBuilder, x: Node) => Node;

/** Draws a number of channels: a multiple of the vector length, up to 9, or up to 70. */
export const channels = (draw: Draw): number =>
  draw.pick([draw.between(1, 70), draw.pick([8, 16, 24, 32, 48, 64]), draw.between(1, 9)]);

const extent = (x: Node, axis: number): number => {
  const value = x.shape[axis];
  if (value === undefined) throw new BlockMismatch(`The value has no axis ${axis}.`);
  return value;
};

const divisorsOf = (value: number): readonly number[] =>
  Array.from({ length: value }, (_, i) => i + 1).filter((divisor) => value % divisor === 0);

/** Draws a window: common ones, and unusual ones with more padding than window or unequal strides. */
export function randomWindow(draw: Draw, dilated = true): Window {
  const odd = (): number => draw.between(1, 7);
  const side = draw.pick([1, 1, 2, 3, 3, 3, 5, 7]);
  const kernel = draw.chance(0.75) ? ([side, side] as const) : ([odd(), odd()] as const);
  const step = draw.pick([1, 1, 1, 2, 2, 3]);
  const stride = draw.chance(0.8) ? ([step, step] as const) : ([odd(), odd()] as const);
  const dilation =
    dilated && draw.chance(0.15) ? ([draw.between(1, 3), draw.between(1, 3)] as const) : ([1, 1] as const);
  const [vertical, horizontal] = [0, 1].map((i) => (kernel[i]! - 1) * dilation[i]! + 1) as [number, number];
  const half = [vertical >> 1, horizontal >> 1] as const;
  const padding = draw.pick<() => Padding>([
    () => symmetric(half),
    () => symmetric(half),
    () => symmetric(0),
    () => [draw.between(0, half[0]), draw.between(0, half[1]), draw.between(0, 2), draw.between(0, 2)],
    () => [
      draw.between(0, vertical + 1),
      draw.between(0, horizontal + 1),
      draw.between(0, 4),
      draw.between(0, 4),
    ],
  ])();
  return { kernel, stride, padding, dilation };
}

/** Appends a convolution of x with new parameters. */
export function conv(
  builder: GraphBuilder,
  x: Node,
  { kernel, ...window }: Window,
  out: number,
  groups = 1,
  bias = builder.draw.chance(0.5),
): Node {
  const weight = builder.parameter('weight', [out, extent(x, 1) / groups, ...kernel]);
  return builder.add(ops.conv2d, bias ? [x, weight, builder.parameter('bias', [out])] : [x, weight], {
    ...window,
    groups,
  });
}

/** A square window with `same` padding, as the blocks of networks have. */
export const sameWindow = (kernel: number, stride = 1): Window => ({
  kernel: [kernel, kernel],
  stride: [stride, stride],
  padding: symmetric(kernel >> 1),
  dilation: [1, 1],
});

export const convolution: Block = (builder, x) => {
  const { draw } = builder;
  const c = extent(x, 1);
  const groups = draw.pick([1, 1, c, draw.pick(divisorsOf(c))]);
  const out = groups === 1 ? channels(draw) : groups * draw.pick([1, 1, 2, c / groups, draw.between(1, 5)]);
  return conv(builder, x, randomWindow(draw), out, groups);
};

export const norm: Block = (builder, x) => {
  const c = [extent(x, 1)];
  // A frozen norm keeps its running statistics in training.
  const trainable = builder.draw.chance(0.85);
  return builder.add(
    ops.batchNorm,
    [
      x,
      builder.parameter('scale', c, trainable),
      builder.parameter('bias', c, trainable),
      builder.parameter('mean', c),
      builder.parameter('variance', c),
    ],
    { eps: builder.draw.pick([1e-5, 1e-3]), momentum: builder.draw.pick([0.1, 0.01]) },
  );
};

const randomActivation = (draw: Draw): Activation =>
  draw.chance(0.1)
    ? { fn: 'leakyRelu', slope: draw.pick([0.01, 0, 1, 0.3, -0.5]) }
    : draw.chance(0.4)
      ? { fn: 'relu' }
      : draw.pick(everyActivation);

export const activation: Block = (builder, x) =>
  builder.add(ops.activation, [x], randomActivation(builder.draw));

const maxPool: Block = (builder, x) =>
  builder.add(ops.maxPool, [x], { ...randomWindow(builder.draw), ceilMode: builder.draw.chance(0.4) });

const avgPool: Block = (builder, x) =>
  builder.add(ops.avgPool, [x], {
    ...randomWindow(builder.draw, false),
    ceilMode: builder.draw.chance(0.4),
    countIncludePad: builder.draw.chance(0.5),
  });

const size = (draw: Draw): readonly [number, number] =>
  draw.chance(0.4) ? [1, 1] : [draw.between(1, 8), draw.between(1, 8)];

const adaptiveAvgPool: Block = (builder, x) =>
  builder.add(ops.adaptiveAvgPool, [x], { size: size(builder.draw) });

const adaptiveMaxPool: Block = (builder, x) =>
  builder.add(ops.adaptiveMaxPool, [x], { size: size(builder.draw) });

export const globalAvgPool: Block = (builder, x) => builder.add(ops.globalAvgPool, [x], {});

const localResponseNorm: Block = (builder, x) =>
  builder.add(ops.localResponseNorm, [x], {
    size: builder.draw.between(1, 6),
    alpha: builder.draw.pick([1e-4, 0.3]),
    beta: builder.draw.pick([0.75, 0.5]),
    k: builder.draw.pick([1, 2]),
  });

const channelShuffle: Block = (builder, x) =>
  builder.add(ops.channelShuffle, [x], { groups: builder.draw.pick(divisorsOf(extent(x, 1))) });

/** Zero padding of the picture, sometimes also of channels and batch. */
const padding: Block = (builder, x) => {
  const amount = (axis: number): number =>
    axis < 2 && builder.draw.chance(0.85) ? 0 : builder.draw.pick([0, 0, 1, 2, 3]);
  return builder.add(ops.pad, [x], {
    before: x.shape.map((_, i) => amount(i)),
    after: x.shape.map((_, i) => amount(i)),
  });
};

/** Draws an axis, with probability of at least 0.7 the channels. */
const randomAxis = (draw: Draw, x: Node): number =>
  draw.chance(0.7) ? Math.min(1, x.shape.length - 1) : draw.between(0, x.shape.length - 1);

export const slice: Block = (builder, x) => {
  const { draw } = builder;
  const axis = randomAxis(draw, x);
  const start = draw.chance(0.4) ? 0 : draw.between(0, extent(x, axis) - 1);
  const end = draw.chance(0.4) ? extent(x, axis) : draw.between(start + 1, extent(x, axis));
  return builder.add(ops.slice, [x], { axis, start, end, step: draw.pick([1, 1, 1, 2, 3]) });
};

export const concat: Block = (builder, x) => {
  const axis = randomAxis(builder.draw, x);
  const fits = ({ shape }: Node): boolean =>
    shape.length === x.shape.length && shape.every((value, i) => i === axis || value === x.shape[i]);
  const others = builder.values.filter(fits).concat(x);
  const parts = Array.from({ length: builder.draw.between(1, 3) }, () => builder.draw.pick(others));
  return builder.add(
    ops.concat,
    builder.draw.chance(0.5) ? [x, ...parts] : [builder.draw.pick(others), ...parts, x],
    {
      axis,
    },
  );
};

export const add: Block = (builder, x) => {
  const other = builder.partner(x);
  return builder.add(ops.add, builder.draw.chance(0.5) ? [x, other] : [other, x], {});
};

/** Product with a value of the same shape, or one that is broadcast along some axes. */
const product: Block = (builder, x) => {
  const gates = builder.values.filter(
    ({ shape }) =>
      shape.length === x.shape.length && shape.every((value, i) => value === 1 || value === x.shape[i]),
  );
  return builder.add(ops.mul, [x, builder.draw.pick(gates.concat(x))], {});
};

/** Reshapes to rows, or to pictures of other extents. */
const reshape: Block = (builder, x) => {
  const { draw } = builder;
  const perPicture = sizeOf(x.shape.slice(1));
  const c = draw.pick(divisorsOf(perPicture));
  const h = draw.pick(divisorsOf(perPicture / c));
  const shape = draw.pick<Shape>([
    [extent(x, 0), perPicture],
    [extent(x, 0), c, h, perPicture / c / h],
    [extent(x, 0), c, perPicture / c],
    [c, extent(x, 0), h, perPicture / c / h],
  ]);
  return builder.add(ops.reshape, [x], { shape });
};

const softmax: Block = (builder, x) => builder.add(builder.draw.pick([ops.softmax, ops.logSoftmax]), [x], {});

const dropout: Block = (builder, x) =>
  builder.add(builder.draw.pick([ops.dropout, ops.stochasticDepth]), [x], {
    p: builder.draw.pick([0, 0.2, 0.5]),
  });

export const linear: Block = (builder, x) => {
  const out = channels(builder.draw);
  const weight = builder.parameter('weight', [out, extent(x, 1)]);
  return builder.add(
    ops.linear,
    builder.draw.chance(0.6) ? [x, weight, builder.parameter('bias', [out])] : [x, weight],
    {},
  );
};

/** Blocks for values of any rank. */
export const anyLayers: readonly Block[] = [
  activation,
  activation,
  slice,
  concat,
  add,
  product,
  reshape,
  padding,
  dropout,
  softmax,
];

/** Blocks for batches of pictures. */
export const pictureLayers: readonly Block[] = [
  ...Array<Block>(8).fill(convolution),
  norm,
  maxPool,
  avgPool,
  adaptiveAvgPool,
  adaptiveMaxPool,
  globalAvgPool,
  localResponseNorm,
  channelShuffle,
];

/** Blocks for rows. */
export const rowLayers: readonly Block[] = [linear, linear, linear, norm];
