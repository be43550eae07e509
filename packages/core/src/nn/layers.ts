/** Layers with parameters. Names, defaults and initial values are PyTorch's. */

import { ShapeError } from '../errors.js';
import { batchNormOp } from '../ops/batchNorm.js';
import { conv2dOp } from '../ops/conv2d.js';
import { emit } from '../ops/define.js';
import { linearOp } from '../ops/linear.js';
import { type Pair, pair, samePadding, symmetric } from '../ops/window.js';
import { showValue } from '../realms.js';
import { buffer, constant, defaultUniform, fanIn, type Initialiser, param, uniform } from './init.js';
import { module } from './module.js';

/** Options of {@link conv2d}. */
export interface Conv2dOptions {
  /** Step of the window in pixels. Default 1. */
  readonly stride?: Pair;
  /**
   * Zero padding of each edge in pixels; `'same'` as in TensorFlow: output = ceil(input / stride). Default 0.
   */
  readonly padding?: Pair | 'same';
  /** Distance between neighbouring taps of the window in pixels. Default 1. */
  readonly dilation?: Pair;
  /**
   * Number of groups of channels, convolved separately; `inChannels` for a depthwise convolution. Default 1.
   */
  readonly groups?: number;
  /** Adds a bias per output channel. Default true. */
  readonly bias?: boolean;
  /** Initial weight. Default: uniform in +-1 / sqrt(fan_in), as in PyTorch. */
  readonly init?: Initialiser;
  /** Initial bias. Default: uniform in +-1 / sqrt(fan_in of the weight), as in PyTorch. */
  readonly biasInit?: Initialiser;
}

function positive(what: string, value: number): void {
  if (!Number.isInteger(value) || value < 1)
    throw new ShapeError(`${what} must be a whole number from 1 up, got ${showValue(value)}`);
}

/**
 * Makes a 2-d convolution (PyTorch's Conv2d): n x `inChannels` x h x w to n x `outChannels` x h' x w', where
 * h' = floor((h + 2 * padding - dilation * (kh - 1) - 1) / stride) + 1.
 * Parameters: `weight` (out x in/groups x kh x kw) and `bias` (out).
 * @param kernel - height and width of the window in pixels; one number for a square.
 * @throws ShapeError if a number of channels is not a whole number from 1 up, or not a multiple of `groups`.
 * @example
 * conv2d(3, 64, 7, { stride: 2, padding: 3, bias: false })
 */
export function conv2d(inChannels: number, outChannels: number, kernel: Pair, options: Conv2dOptions = {}) {
  const { stride = 1, padding = 0, dilation = 1, groups = 1, bias = true } = options;
  positive('The input channels of conv2d', inChannels);
  positive('The output channels of conv2d', outChannels);
  for (const side of pair(kernel)) positive('The sides of the kernel of conv2d', side);
  positive('The groups of conv2d', groups);
  if (inChannels % groups !== 0 || outChannels % groups !== 0)
    throw new ShapeError(
      `conv2d cannot divide ${inChannels} input and ${outChannels} output channels into ${groups} groups; both must be multiples.`,
    );
  const shape = [outChannels, inChannels / groups, ...pair(kernel)];
  const { init = defaultUniform, biasInit = uniform(1 / Math.sqrt(fanIn(shape))) } = options;
  return module(
    {
      weight: param(shape, init),
      bias: bias ? param([outChannels], biasInit) : undefined,
    },
    (m, x) => {
      const [, , height = 0, width = 0] = x.shape;
      const window = { kernel: pair(kernel), stride: pair(stride), dilation: pair(dilation) };
      return emit(conv2dOp, m.bias ? [x, m.weight, m.bias] : [x, m.weight], {
        stride: window.stride,
        padding: padding === 'same' ? samePadding([height, width], window) : symmetric(padding),
        dilation: window.dilation,
        groups,
      });
    },
  );
}

/** Options of {@link linear}. */
export interface LinearOptions {
  /** Adds a bias per output feature. Default true. */
  readonly bias?: boolean;
  /** Initial weight. Default: uniform in +-1 / sqrt(inFeatures), as in PyTorch. */
  readonly init?: Initialiser;
  /** Initial bias. Default: uniform in +-1 / sqrt(inFeatures), as in PyTorch. */
  readonly biasInit?: Initialiser;
}

/**
 * Makes a fully connected layer (PyTorch's Linear): n x `inFeatures` to n x `outFeatures`.
 * Parameters: `weight` (out x in) and `bias` (out).
 * @throws ShapeError if a number of features is not a whole number from 1 up.
 * @example
 * linear(512, 10)
 */
export function linear(inFeatures: number, outFeatures: number, options: LinearOptions = {}) {
  const { bias = true, init = defaultUniform, biasInit = uniform(1 / Math.sqrt(inFeatures)) } = options;
  positive('The input features of linear', inFeatures);
  positive('The output features of linear', outFeatures);
  return module(
    {
      weight: param([outFeatures, inFeatures], init),
      bias: bias ? param([outFeatures], biasInit) : undefined,
    },
    (m, x) => emit(linearOp, m.bias ? [x, m.weight, m.bias] : [x, m.weight], {}),
  );
}

/** Options of {@link batchNorm}. */
export interface BatchNormOptions {
  /** Added to the variance before the square root. Default 1e-5. */
  readonly eps?: number;
  /** Weight of each new batch in the running statistics. Default 0.1. */
  readonly momentum?: number;
  /** Initial scale. Default: 1. */
  readonly init?: Initialiser;
}

/**
 * Makes a batch normalisation over the channels of n x c x h x w or n x c (PyTorch's BatchNorm2d and
 * BatchNorm1d, https://arxiv.org/abs/1502.03167). Parameters: `weight`, `bias` and the buffers
 * `running_mean`, `running_var`, each (c). A program compiled for inference normalises with the running
 * statistics, a training step with those of the batch.
 * @throws ShapeError if `channels` is not a whole number from 1 up.
 * @example
 * batchNorm(64, { eps: 1e-3 })
 */
export function batchNorm(channels: number, options: BatchNormOptions = {}) {
  const { eps = 1e-5, momentum = 0.1, init = constant(1) } = options;
  positive('The channels of batchNorm', channels);
  return module(
    {
      weight: param([channels], init),
      bias: param([channels], constant(0)),
      running_mean: buffer([channels], constant(0)),
      running_var: buffer([channels], constant(1)),
    },
    (m, x) => emit(batchNormOp, [x, m.weight, m.bias, m.running_mean, m.running_var], { eps, momentum }),
  );
}
