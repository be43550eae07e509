/** The layers that own parameters. Names, defaults and initial values are PyTorch's. */
import { ShapeError } from '../errors.js';
import { batchNormOp } from '../ops/batchNorm.js';
import { conv2dOp } from '../ops/conv2d.js';
import { emit } from '../ops/define.js';
import { linearOp } from '../ops/linear.js';
import { type Pair, pair, samePadding, symmetric } from '../ops/window.js';
import { buffer, constant, defaultUniform, fanIn, type Initialiser, param, uniform } from './init.js';
import { module } from './module.js';

/** Options of {@link conv2d}. */
export interface Conv2dOptions {
  /** Step of the window in pixels. Default 1. */
  readonly stride?: Pair;
  /** Zero pixels at each edge, or `'same'` for TensorFlow's rule (output = ceil(input / stride)). Default 0. */
  readonly padding?: Pair | 'same';
  /** Distance between neighbouring taps. Default 1. */
  readonly dilation?: Pair;
  /** Groups of channels that do not mix; as many as channels for a depthwise convolution. Default 1. */
  readonly groups?: number;
  /** Default true. */
  readonly bias?: boolean;
  /** How the weight is drawn. Default: uniform in +-1 / sqrt(fan_in), as in PyTorch. */
  readonly init?: Initialiser;
  /** How the bias is drawn. Default: uniform in +-1 / sqrt(fan_in of the weight), as in PyTorch. */
  readonly biasInit?: Initialiser;
}

function positive(what: string, value: number): void {
  if (!Number.isInteger(value) || value < 1)
    throw new ShapeError(`${what} must be a whole number from 1 up, got ${value}`);
}

/**
 * A 2-d convolution: n x `inChannels` x h x w to n x `outChannels` x h' x w'.
 * Children `weight` (out x in/groups x kh x kw) and `bias` (out).
 * @throws ShapeError when the channels cannot be divided into the groups.
 * @example
 * conv2d(3, 64, 7, { stride: 2, padding: 3, bias: false })
 */
export function conv2d(inChannels: number, outChannels: number, kernel: Pair, options: Conv2dOptions = {}) {
  const { stride = 1, padding = 0, dilation = 1, groups = 1, bias = true } = options;
  positive('The input channels of conv2d', inChannels);
  positive('The output channels of conv2d', outChannels);
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
  /** Default true. */
  readonly bias?: boolean;
  /** How the weight is drawn. Default: uniform in +-1 / sqrt(inFeatures), as in PyTorch. */
  readonly init?: Initialiser;
  /** How the bias is drawn. Default: uniform in +-1 / sqrt(inFeatures), as in PyTorch. */
  readonly biasInit?: Initialiser;
}

/**
 * A fully connected layer: n x `inFeatures` to n x `outFeatures`.
 * Children `weight` (out x in) and `bias` (out).
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
  /** Added to the variance under the root. Default 1e-5. */
  readonly eps?: number;
  /** Share of each new batch in the running statistics. Default 0.1. */
  readonly momentum?: number;
  /** How the scale is drawn. Default: 1. */
  readonly init?: Initialiser;
}

/**
 * Batch normalisation over the channels of n x c x h x w or n x c (https://arxiv.org/abs/1502.03167).
 * Children `weight`, `bias` and the buffers `running_mean`, `running_var`, each (c). The same module
 * normalises with running statistics for inference and with the batch's for training: the compiled
 * program decides.
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
