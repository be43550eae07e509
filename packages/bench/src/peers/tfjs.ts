/**
 * Runs a network on a back end of TensorFlow.js, op by op, like tfjs's graph models: fused ops, tensors
 * disposed after their last use.
 */
import type { Activation, Shape } from '@cnn/core';
import type {
  AdaptivePoolAttrs,
  AvgPoolAttrs,
  BatchNormAttrs,
  ChannelShuffleAttrs,
  ConcatAttrs,
  Conv2dAttrs,
  LinearAttrs,
  MaxPoolAttrs,
  PadAttrs,
  SliceAttrs,
} from '@cnn/core/graph';
import * as tf from '@tensorflow/tfjs-core';
import { fileNames, type Peer, Unsupported, type Workload } from '../peer.js';
import type { Step, TfjsModel } from './tfjsModel.js';

/** Index of an n x c x h x w axis in the order n x h x w x c. */
const channelsLastAxis = (axis: number, shape: Shape): number =>
  shape.length === 4 ? [0, 3, 1, 2][axis]! : axis;

const channelsLast = (shape: Shape): number[] =>
  shape.length === 4 ? [shape[0]!, shape[2]!, shape[3]!, shape[1]!] : [...shape];

function activate(x: tf.Tensor, activation: Activation | undefined): tf.Tensor {
  switch (activation?.fn) {
    case undefined:
      return x;
    case 'relu':
      return tf.relu(x);
    case 'relu6':
      return tf.relu6(x);
    case 'leakyRelu':
      return tf.leakyRelu(x, activation.slope);
    case 'sigmoid':
      return tf.sigmoid(x);
    case 'tanh':
      return tf.tanh(x);
    case 'silu':
      return tf.mul(x, tf.sigmoid(x));
    case 'hardSigmoid':
      return tf.mul(tf.relu6(tf.add(x, 3)), 1 / 6);
    case 'hardSwish':
      return tf.mul(x, tf.mul(tf.relu6(tf.add(x, 3)), 1 / 6));
    default:
      throw new Unsupported(
        `${activation?.fn}: no measured network has it, so it is not written for TensorFlow.js`,
      );
  }
}

/** Name of an activation that tfjs fuses into an op; undefined if it cannot fuse it. */
const fusedName = (activation: Activation | undefined): 'linear' | 'relu' | 'relu6' | undefined =>
  activation === undefined
    ? 'linear'
    : activation.fn === 'relu' || activation.fn === 'relu6'
      ? activation.fn
      : undefined;

type Kernel = (inputs: readonly tf.Tensor[], weights: readonly tf.Tensor[], step: Step) => tf.Tensor;

const convolution =
  (fused: typeof tf.fused.conv2d): Kernel =>
  ([x, residual], [filter, bias], { attrs }) => {
    const { stride, padding, dilation, activation } = attrs as Conv2dAttrs;
    const fusedActivation = residual ? 'linear' : fusedName(activation);
    const y = fused({
      x: x!,
      filter: filter!,
      bias,
      strides: [...stride],
      pad: [
        [0, 0],
        [padding[0], padding[2]],
        [padding[1], padding[3]],
        [0, 0],
      ],
      dilations: [...dilation],
      activation: fusedActivation ?? 'linear',
    });
    if (!residual) return fusedActivation ? y : activate(y, activation);
    return activate(tf.add(y, residual), activation);
  };

/** Padding of a max pool, enlarged at the bottom and right so that the last window fits (ceil mode). */
function maxPoolPadding(attrs: MaxPoolAttrs, [, , h, w]: Shape, [, , oh, ow]: Shape): [number, number][] {
  const { kernel, stride, padding } = attrs;
  const far = (i: 0 | 1, extent: number, outputs: number): number =>
    Math.max(0, (outputs - 1) * stride[i] + kernel[i] - extent - padding[i]);
  return [
    [0, 0],
    [padding[0], far(0, h!, oh!)],
    [padding[1], far(1, w!, ow!)],
    [0, 0],
  ];
}

const channelsFirst = (x: tf.Tensor): Shape => [x.shape[0]!, x.shape[3]!, x.shape[1]!, x.shape[2]!];

const kernels: Readonly<Record<string, Kernel>> = {
  conv2d: convolution(tf.fused.conv2d),
  depthwiseConv2d: convolution(tf.fused.depthwiseConv2d),
  linear: ([x], [weight, bias], { attrs }) => {
    const { activation } = attrs as LinearAttrs;
    const fusedActivation = fusedName(activation);
    const y = tf.fused.matMul({ a: x!, b: weight!, bias, activation: fusedActivation ?? 'linear' });
    return fusedActivation ? y : activate(y, activation);
  },
  batchNorm: ([x], [weight, bias, mean, variance], { attrs }) => {
    const { eps, activation } = attrs as BatchNormAttrs;
    return activate(tf.batchNorm(x!, mean!, variance!, bias, weight, eps), activation);
  },
  activation: ([x], _, { attrs }) => activate(x!, attrs as Activation),
  add: ([a, b], _, { attrs }) => activate(tf.add(a!, b!), (attrs as LinearAttrs).activation),
  mul: ([a, b]) => tf.mul(a!, b!),
  concat: (inputs, _, { attrs, shape }) =>
    tf.concat([...inputs], channelsLastAxis((attrs as ConcatAttrs).axis, shape)),
  slice: ([x], _, { attrs, shape }) => {
    const { axis, start } = attrs as SliceAttrs;
    const begin = shape.map(() => 0);
    begin[channelsLastAxis(axis, shape)] = start;
    return tf.slice(x!, begin, channelsLast(shape));
  },
  pad: ([x], _, { attrs }) => {
    const { before, after } = attrs as PadAttrs;
    const [first, last] = [channelsLast(before), channelsLast(after)];
    return tf.pad(
      x!,
      first.map((count, axis): [number, number] => [count, last[axis]!]),
    );
  },
  channelShuffle: ([x], _, { attrs, shape }) => {
    const [n, c, h, w] = shape as [number, number, number, number];
    const { groups } = attrs as ChannelShuffleAttrs;
    const split = tf.reshape(x!, [n, h, w, groups, c / groups]);
    return tf.reshape(tf.transpose(split, [0, 1, 2, 4, 3]), [n, h, w, c]);
  },
  maxPool: ([x], _, { attrs, shape }) => {
    const { kernel, stride } = attrs as MaxPoolAttrs;
    return tf.maxPool(
      x!,
      [...kernel],
      [...stride],
      maxPoolPadding(attrs as MaxPoolAttrs, channelsFirst(x!), shape),
    );
  },
  avgPool: ([x], _, { attrs }) => {
    const { kernel, stride } = attrs as AvgPoolAttrs;
    return tf.avgPool(x!, [...kernel], [...stride], 'valid');
  },
  globalAvgPool: ([x]) => tf.mean(x!, [1, 2]),
  adaptiveAvgPool: ([x], _, { attrs }) =>
    `${(attrs as AdaptivePoolAttrs).size}` === '1,1' ? tf.mean(x!, [1, 2], true) : tf.clone(x!),
  reshape: ([x], _, { shape }) => {
    const hasPixels = x!.shape.length === 4 && x!.shape[1]! * x!.shape[2]! > 1;
    return tf.reshape(hasPixels ? tf.transpose(x!, [0, 3, 1, 2]) : x!, channelsLast(shape));
  },
  softmax: ([x]) => tf.softmax(x!),
};

/** Creates a peer. @param prepare - selects the tfjs back end and returns its number of threads and notes. */
export const tfjs = (
  prepare: (threads: number | undefined) => Promise<Omit<Workload, 'run' | 'inMemory'>>,
): Peer => ({
  async load({ input, threads }, read) {
    const names = fileNames(input);
    const model = JSON.parse(new TextDecoder().decode(await read(names.tfjs))) as TfjsModel;
    if (model.unsupported) throw new Unsupported(model.unsupported);
    for (const { op } of model.steps)
      if (!Object.hasOwn(kernels, op)) throw new Unsupported(`the benchmark has no ${op} for tfjs`);
    const prepared = await prepare(threads);
    const values = new Float32Array(await read(names.tfjsWeights));
    const weights = model.steps.map((step) =>
      step.weights.map(({ shape, offset }) => {
        const size = shape.reduce((product, extent) => product * extent, 1);
        return tf.tensor(values.subarray(offset, offset + size), [...shape], 'float32');
      }),
    );
    const lastUse = new Map<number, number>();
    for (const [index, { inputs }] of model.steps.entries())
      for (const value of inputs) lastUse.set(value, index);
    const x = toChannelsLast(new Float32Array(await read(names.input)), model.input);
    const inMemory = performance.now();
    const run = async (): Promise<Float32Array> => {
      const live = new Map<number, tf.Tensor>([[0, tf.tensor(x, channelsLast(model.input), 'float32')]]);
      for (const [index, step] of model.steps.entries()) {
        const inputs = step.inputs.map((value) => live.get(value)!);
        live.set(
          index + 1,
          tf.tidy(() => kernels[step.op]!(inputs, weights[index]!, step)),
        );
        for (const value of new Set(step.inputs))
          if (lastUse.get(value) === index) {
            live.get(value)!.dispose();
            live.delete(value);
          }
      }
      const output = live.get(model.steps.length)!;
      const data = (await output.data()) as Float32Array;
      for (const tensor of live.values()) tensor.dispose();
      return data;
    };
    return { ...prepared, run, inMemory };
  },
});

/** Reorders values from n x c x h x w to n x h x w x c. */
function toChannelsLast(x: Float32Array, shape: Shape): Float32Array {
  const [n, c, h, w] = shape as [number, number, number, number];
  const result = new Float32Array(x.length);
  for (let image = 0; image < n; image++)
    for (let channel = 0; channel < c; channel++)
      for (let pixel = 0; pixel < h * w; pixel++)
        result[(image * h * w + pixel) * c + channel] = x[(image * c + channel) * h * w + pixel]!;
  return result;
}
