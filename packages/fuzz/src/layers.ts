/** One op with random attributes at a time: the small blocks of random graphs. */
import {
  type Activation,
  type Node,
  ops,
  type Padding,
  type Shape,
  sizeOf,
  symmetric,
  type Window,
} from '@cnn/core';
import { everyActivation } from '@cnn/testing/samples';
import type { Draw } from './draw.js';
import { type Sketch, Unfit } from './sketch.js';

/** Appends something that reads x. @throws Unfit when it cannot. */
export type Block = (sketch: Sketch, x: Node) => Node;

/** A number of channels: whole vectors, a few, or any up to 70. */
export const channels = (draw: Draw): number =>
  draw.pick([draw.between(1, 70), draw.pick([8, 16, 24, 32, 48, 64]), draw.between(1, 9)]);

const extent = (x: Node, axis: number): number => {
  const value = x.shape[axis];
  if (value === undefined) throw new Unfit(`There is no axis ${axis}.`);
  return value;
};

const divisorsOf = (value: number): readonly number[] =>
  Array.from({ length: value }, (_, i) => i + 1).filter((divisor) => value % divisor === 0);

/** The windows of the networks, and odd ones: more padding than window, other steps in each direction. */
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

/** A convolution of x with parameters of its own. */
export function conv(
  sketch: Sketch,
  x: Node,
  { kernel, ...window }: Window,
  out: number,
  groups = 1,
  bias = sketch.draw.chance(0.5),
): Node {
  const weight = sketch.parameter('weight', [out, extent(x, 1) / groups, ...kernel]);
  return sketch.add(ops.conv2d, bias ? [x, weight, sketch.parameter('bias', [out])] : [x, weight], {
    ...window,
    groups,
  });
}

/** A window of one step, with `same` padding: what the blocks of networks have. */
export const sameWindow = (kernel: number, stride = 1): Window => ({
  kernel: [kernel, kernel],
  stride: [stride, stride],
  padding: symmetric(kernel >> 1),
  dilation: [1, 1],
});

export const convolution: Block = (sketch, x) => {
  const { draw } = sketch;
  const c = extent(x, 1);
  const groups = draw.pick([1, 1, c, draw.pick(divisorsOf(c))]);
  const out = groups === 1 ? channels(draw) : groups * draw.pick([1, 1, 2, c / groups, draw.between(1, 5)]);
  return conv(sketch, x, randomWindow(draw), out, groups);
};

export const norm: Block = (sketch, x) => {
  const c = [extent(x, 1)];
  // A frozen norm keeps its statistics in training.
  const trainable = sketch.draw.chance(0.85);
  return sketch.add(
    ops.batchNorm,
    [
      x,
      sketch.parameter('scale', c, trainable),
      sketch.parameter('bias', c, trainable),
      sketch.parameter('mean', c),
      sketch.parameter('variance', c),
    ],
    { eps: sketch.draw.pick([1e-5, 1e-3]), momentum: sketch.draw.pick([0.1, 0.01]) },
  );
};

const randomActivation = (draw: Draw): Activation =>
  draw.chance(0.1)
    ? { fn: 'leakyRelu', slope: draw.pick([0.01, 0, 1, 0.3, -0.5]) }
    : draw.chance(0.4)
      ? { fn: 'relu' }
      : draw.pick(everyActivation);

export const activation: Block = (sketch, x) =>
  sketch.add(ops.activation, [x], randomActivation(sketch.draw));

const maxPool: Block = (sketch, x) =>
  sketch.add(ops.maxPool, [x], { ...randomWindow(sketch.draw), ceilMode: sketch.draw.chance(0.4) });

const avgPool: Block = (sketch, x) =>
  sketch.add(ops.avgPool, [x], {
    ...randomWindow(sketch.draw, false),
    ceilMode: sketch.draw.chance(0.4),
    countIncludePad: sketch.draw.chance(0.5),
  });

const size = (draw: Draw): readonly [number, number] =>
  draw.chance(0.4) ? [1, 1] : [draw.between(1, 8), draw.between(1, 8)];

const adaptiveAvgPool: Block = (sketch, x) =>
  sketch.add(ops.adaptiveAvgPool, [x], { size: size(sketch.draw) });

const adaptiveMaxPool: Block = (sketch, x) =>
  sketch.add(ops.adaptiveMaxPool, [x], { size: size(sketch.draw) });

export const globalAvgPool: Block = (sketch, x) => sketch.add(ops.globalAvgPool, [x], {});

const localResponseNorm: Block = (sketch, x) =>
  sketch.add(ops.localResponseNorm, [x], {
    size: sketch.draw.between(1, 6),
    alpha: sketch.draw.pick([1e-4, 0.3]),
    beta: sketch.draw.pick([0.75, 0.5]),
    k: sketch.draw.pick([1, 2]),
  });

const channelShuffle: Block = (sketch, x) =>
  sketch.add(ops.channelShuffle, [x], { groups: sketch.draw.pick(divisorsOf(extent(x, 1))) });

/** Zeros around the picture, at times before or behind channels and batch too. */
const padding: Block = (sketch, x) => {
  const some = (axis: number): number =>
    axis < 2 && sketch.draw.chance(0.85) ? 0 : sketch.draw.pick([0, 0, 1, 2, 3]);
  return sketch.add(ops.pad, [x], {
    before: x.shape.map((_, i) => some(i)),
    after: x.shape.map((_, i) => some(i)),
  });
};

/** Mostly along the channels. */
const randomAxis = (draw: Draw, x: Node): number =>
  draw.chance(0.7) ? Math.min(1, x.shape.length - 1) : draw.between(0, x.shape.length - 1);

export const slice: Block = (sketch, x) => {
  const { draw } = sketch;
  const axis = randomAxis(draw, x);
  const start = draw.chance(0.4) ? 0 : draw.between(0, extent(x, axis) - 1);
  const end = draw.chance(0.4) ? extent(x, axis) : draw.between(start + 1, extent(x, axis));
  return sketch.add(ops.slice, [x], { axis, start, end, step: draw.pick([1, 1, 1, 2, 3]) });
};

export const concat: Block = (sketch, x) => {
  const axis = randomAxis(sketch.draw, x);
  const fits = ({ shape }: Node): boolean =>
    shape.length === x.shape.length && shape.every((value, i) => i === axis || value === x.shape[i]);
  const others = sketch.values.filter(fits).concat(x);
  const parts = Array.from({ length: sketch.draw.between(1, 3) }, () => sketch.draw.pick(others));
  return sketch.add(
    ops.concat,
    sketch.draw.chance(0.5) ? [x, ...parts] : [sketch.draw.pick(others), ...parts, x],
    {
      axis,
    },
  );
};

export const add: Block = (sketch, x) => {
  const other = sketch.partner(x);
  return sketch.add(ops.add, sketch.draw.chance(0.5) ? [x, other] : [other, x], {});
};

/** The product with a value of the same shape, or with one that is 1 wide along some axes. */
const product: Block = (sketch, x) => {
  const gates = sketch.values.filter(
    ({ shape }) =>
      shape.length === x.shape.length && shape.every((value, i) => value === 1 || value === x.shape[i]),
  );
  return sketch.add(ops.mul, [x, sketch.draw.pick(gates.concat(x))], {});
};

/** Another shape for the same values: rows, or a picture of other extents. */
const reshape: Block = (sketch, x) => {
  const { draw } = sketch;
  const perPicture = sizeOf(x.shape.slice(1));
  const c = draw.pick(divisorsOf(perPicture));
  const h = draw.pick(divisorsOf(perPicture / c));
  const shape = draw.pick<Shape>([
    [extent(x, 0), perPicture],
    [extent(x, 0), c, h, perPicture / c / h],
    [extent(x, 0), c, perPicture / c],
    [c, extent(x, 0), h, perPicture / c / h],
  ]);
  return sketch.add(ops.reshape, [x], { shape });
};

const softmax: Block = (sketch, x) => sketch.add(sketch.draw.pick([ops.softmax, ops.logSoftmax]), [x], {});

const dropout: Block = (sketch, x) =>
  sketch.add(sketch.draw.pick([ops.dropout, ops.stochasticDepth]), [x], {
    p: sketch.draw.pick([0, 0.2, 0.5]),
  });

export const linear: Block = (sketch, x) => {
  const out = channels(sketch.draw);
  const weight = sketch.parameter('weight', [out, extent(x, 1)]);
  return sketch.add(
    ops.linear,
    sketch.draw.chance(0.6) ? [x, weight, sketch.parameter('bias', [out])] : [x, weight],
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
