/** Blocks that several families share. */
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
  /** Default none: the output stays linear. */
  readonly activation?: (x: Node) => Node;
  readonly norm?: BatchNormOptions;
}

/** Convolution without bias, batch norm, activation: children `0` and `1`, as torchvision's ConvNormActivation. */
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
  /** Between the two layers. Default ReLU. */
  readonly activation?: (x: Node) => Node;
  /** Makes the gates. Default the sigmoid. */
  readonly gate?: (x: Node) => Node;
  /** How the weights of both layers are drawn. Default as in {@link conv2d}. */
  readonly init?: Initialiser;
  /** How the biases of both layers are drawn. Default as in {@link conv2d}. */
  readonly biasInit?: Initialiser;
}

/**
 * Scales each channel by a gate computed from all channels' means (https://arxiv.org/abs/1709.01507,
 * figure 1). Children `fc1` and `fc2`, 1x1 convolutions with bias.
 */
export const squeezeExcitation = (
  channels: number,
  squeezed: number,
  { activation = relu, gate = sigmoid, ...inits }: SqueezeExcitationOptions = {},
): Module =>
  module({ fc1: conv2d(channels, squeezed, 1, inits), fc2: conv2d(squeezed, channels, 1, inits) }, (m, x) =>
    mul(x, pipe(x, adaptiveAvgPool(1), m.fc1, activation, m.fc2, gate)),
  );

/** The multiple of `divisor` nearest to a number of channels, but never more than 10 % below it (MobileNetV2's code). */
export function makeDivisible(channels: number, divisor = 8): number {
  const nearest = Math.max(divisor, Math.floor((channels + divisor / 2) / divisor) * divisor);
  return nearest < 0.9 * channels ? nearest + divisor : nearest;
}
