/**
 * Network in Network (Lin et al. 2013, https://arxiv.org/abs/1312.4400): every convolution is followed by
 * two 1x1 convolutions, a small network at each pixel, and logits are averages of feature maps.
 *
 * `nin` is the ImageNet form of "Dive into Deep Learning"; its last block has `numClasses` channels and ends
 * in a ReLU, so that no logit is negative. `nin_cifar10` is the paper's network for CIFAR-10.
 */
import {
  avgPool,
  conv2d,
  dropout,
  globalAvgPool,
  type Module,
  maxPool,
  module,
  type Node,
  relu,
  sequential,
} from '@cnn/core';

/** Options of both forms. */
export interface NinOptions {
  /** Default 1000 for `nin`, 10 for `nin_cifar10`. */
  readonly numClasses?: number;
}

/** A convolution and the two 1x1 convolutions of its small network ("mlpconv", section 3.1), each with ReLU. */
const mlpconv = (
  inC: number,
  widths: readonly [number, number, number],
  kernel: number,
  options: { readonly stride?: number; readonly padding?: number } = {},
): Module =>
  sequential(
    conv2d(inC, widths[0], kernel, options),
    relu,
    conv2d(widths[0], widths[1], 1),
    relu,
    conv2d(widths[1], widths[2], 1),
    relu,
  );

const net = (...steps: readonly (Module | ((x: Node) => Node))[]): Module =>
  module({ net: sequential(...steps) }, (m, x) => m.net(x));

/** Network in Network for ImageNet: n x 3 x h x w (at least 67x67) to n x `numClasses` logits. */
export function nin({ numClasses = 1000 }: NinOptions = {}): Module {
  const pool = maxPool(3, { stride: 2 });
  const same = (width: number) => [width, width, width] as const;
  return net(
    mlpconv(3, same(96), 11, { stride: 4 }),
    pool,
    mlpconv(96, same(256), 5, { padding: 2 }),
    pool,
    mlpconv(256, same(384), 3, { padding: 1 }),
    pool,
    dropout(0.5),
    mlpconv(384, same(numClasses), 3, { padding: 1 }),
    globalAvgPool,
  );
}

/** The paper's Network in Network for CIFAR-10: n x 3 x 32 x 32 to n x `numClasses` logits. */
export const ninCifar10 = ({ numClasses = 10 }: NinOptions = {}): Module =>
  net(
    mlpconv(3, [192, 160, 96], 5, { padding: 2 }),
    maxPool(3, { stride: 2, ceilMode: true }),
    dropout(0.5),
    mlpconv(96, [192, 192, 192], 5, { padding: 2 }),
    avgPool(3, { stride: 2, ceilMode: true }),
    dropout(0.5),
    mlpconv(192, [192, 192, numClasses], 3, { padding: 1 }),
    globalAvgPool,
  );
