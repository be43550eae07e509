/**
 * ResNet for CIFAR-10 (He et al. 2015, https://arxiv.org/abs/1512.03385, section 4.2): 6n + 2 layers in three
 * stages of 16, 32 and 64 channels. Parameter names are those of public checkpoints of these networks.
 */
import {
  add,
  batchNorm,
  conv2d,
  globalAvgPool,
  kaimingNormal,
  linear,
  type Module,
  module,
  type Node,
  pad,
  pipe,
  relu,
  ShapeError,
  sequential,
  slice,
} from '@cnn/core';

/** Options of every depth. */
export interface ResnetCifarOptions {
  /** Default 10. */
  readonly numClasses?: number;
  /** Shortcuts that change the shape: `'A'` skips pixels and adds zero channels, `'B'` projects. Default `'A'`, the paper's. */
  readonly shortcut?: 'A' | 'B';
}

const conv = (inC: number, outC: number, kernel: number, stride = 1) =>
  conv2d(inC, outC, kernel, { stride, padding: kernel >> 1, bias: false, init: kaimingNormal() });

/** Option A: takes every second pixel, and adds the missing channels as zeros on both sides. */
const skipAndPad =
  (extra: number) =>
  (x: Node): Node =>
    pipe(x, slice(2, 0, undefined, 2), slice(3, 0, undefined, 2), pad([0, 0, 0, 0, extra / 2, extra / 2]));

const block = (inC: number, outC: number, stride: number, kind: 'A' | 'B'): Module => {
  const same = stride === 1 && inC === outC;
  const projection =
    same || kind === 'A' ? undefined : sequential(conv(inC, outC, 1, stride), batchNorm(outC));
  const withoutParameters = same ? (x: Node): Node => x : skipAndPad(outC - inC);
  return module(
    {
      conv1: conv(inC, outC, 3, stride),
      bn1: batchNorm(outC),
      conv2: conv(outC, outC, 3),
      bn2: batchNorm(outC),
      shortcut: projection,
    },
    (m, x) =>
      relu(add(pipe(x, m.conv1, m.bn1, relu, m.conv2, m.bn2), m.shortcut?.(x) ?? withoutParameters(x))),
  );
};

const resnetCifar =
  (depth: number) =>
  ({ numClasses = 10, shortcut = 'A' }: ResnetCifarOptions = {}): Module => {
    if (shortcut !== 'A' && shortcut !== 'B')
      throw new ShapeError(
        `resnet${depth} has shortcuts 'A' (zero padding) or 'B' (projection), not '${String(shortcut)}'.`,
      );
    const stage = (inC: number, outC: number, stride: number): Module =>
      sequential(
        ...Array.from({ length: (depth - 2) / 6 }, (_, place) =>
          place === 0 ? block(inC, outC, stride, shortcut) : block(outC, outC, 1, shortcut),
        ),
      );
    return module(
      {
        conv1: conv(3, 16, 3),
        bn1: batchNorm(16),
        layer1: stage(16, 16, 1),
        layer2: stage(16, 32, 2),
        layer3: stage(32, 64, 2),
        linear: linear(64, numClasses, { init: kaimingNormal() }),
      },
      (m, x) => pipe(x, m.conv1, m.bn1, relu, m.layer1, m.layer2, m.layer3, globalAvgPool, m.linear),
    );
  };

/** ResNet-20 for CIFAR-10: n x 3 x 32 x 32 to n x 10 logits. */
export const resnet20 = resnetCifar(20);
/** ResNet-32 for CIFAR-10: n x 3 x 32 x 32 to n x 10 logits. */
export const resnet32 = resnetCifar(32);
/** ResNet-44 for CIFAR-10: n x 3 x 32 x 32 to n x 10 logits. */
export const resnet44 = resnetCifar(44);
/** ResNet-56 for CIFAR-10: n x 3 x 32 x 32 to n x 10 logits. */
export const resnet56 = resnetCifar(56);
/** ResNet-110 for CIFAR-10: n x 3 x 32 x 32 to n x 10 logits. */
export const resnet110 = resnetCifar(110);
