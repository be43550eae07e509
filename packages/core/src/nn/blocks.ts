/** Building blocks that several model families share. */
import type { Node } from '../graph/graph.js';
import { relu, sigmoid } from '../ops/activation.js';
import { adaptiveAvgPool } from '../ops/adaptivePool.js';
import { mul } from '../ops/arithmetic.js';
import type { Pair } from '../ops/window.js';
import type { Initialiser } from './init.js';
import { type BatchNormOptions, batchNorm, type Conv2dOptions, conv2d } from './layers.js';
import { type Module, module, pipe, sequential } from './module.js';

/** Options of {@link convBnAct}. */
export interface ConvBnActOptions extends Omit<Conv2dOptions, 'bias' | 'biasInit'> {
  /** Activation after the batch norm. Default: none. */
  readonly activation?: (x: Node) => Node;
  /** Options of the batch norm. */
  readonly norm?: BatchNormOptions;
}

/**
 * Makes a convolution without bias, a batch norm and an activation (torchvision's Conv2dNormActivation), with
 * the children `0` and `1`: n x `inChannels` x h x w to n x `outChannels` x h' x w'.
 * @param kernel - height and width of the window in pixels; one number for a square.
 * @example
 * convBnAct(3, 32, 3, { stride: 2, padding: 1, activation: relu6 })
 */
export function convBnAct(
  inChannels: number,
  outChannels: number,
  kernel: Pair,
  options: ConvBnActOptions = {},
): Module {
  const { activation, norm, ...conv } = options;
  const layers = [
    conv2d(inChannels, outChannels, kernel, { ...conv, bias: false }),
    batchNorm(outChannels, norm),
  ];
  return sequential(...layers, ...(activation ? [activation] : []));
}

/** Options of {@link squeezeExcitation}. */
export interface SqueezeExcitationOptions {
  /** Activation between the two layers. Default: ReLU. */
  readonly activation?: (x: Node) => Node;
  /** Activation after the second layer, which gives the gates. Default: sigmoid. */
  readonly gate?: (x: Node) => Node;
  /** Initial weights of both layers. Default: as in {@link conv2d}. */
  readonly init?: Initialiser;
  /** Initial biases of both layers. Default: as in {@link conv2d}. */
  readonly biasInit?: Initialiser;
}

/**
 * Makes a squeeze-and-excitation block, n x c x h x w to the same shape: scales each channel by a gate
 * computed from the means of all channels (https://arxiv.org/abs/1709.01507, figure 1; torchvision's
 * SqueezeExcitation). Children `fc1` and `fc2`, 1x1 convolutions with bias.
 * @param squeezed - number of channels between the two layers.
 */
export const squeezeExcitation = (
  channels: number,
  squeezed: number,
  { activation = relu, gate = sigmoid, ...inits }: SqueezeExcitationOptions = {},
): Module =>
  module({ fc1: conv2d(channels, squeezed, 1, inits), fc2: conv2d(squeezed, channels, 1, inits) }, (m, x) =>
    mul(x, pipe(x, adaptiveAvgPool(1), m.fc1, activation, m.fc2, gate)),
  );

/**
 * Rounds a number of channels to the nearest multiple of `divisor`, or up if that were more than 10 % below
 * (torchvision's `_make_divisible`, from MobileNetV2's code). At least `divisor`.
 */
export function makeDivisible(channels: number, divisor = 8): number {
  const nearest = Math.max(divisor, Math.floor((channels + divisor / 2) / divisor) * divisor);
  return nearest < 0.9 * channels ? nearest + divisor : nearest;
}
