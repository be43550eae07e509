/** Small networks of the building blocks of all families, for the conformance suite. */
import {
  adaptiveAvgPool,
  add,
  avgPool,
  batchNorm,
  channelShuffle,
  concat,
  conv2d,
  dropout,
  flatten,
  globalAvgPool,
  hardSigmoid,
  hardSwish,
  linear,
  localResponseNorm,
  logSoftmax,
  type Module,
  maxPool,
  module,
  mul,
  type Node,
  pad,
  pipe,
  relu,
  relu6,
  reshape,
  type Shape,
  sequential,
  silu,
  slice,
  softmax,
  stochasticDepth,
  tanh,
} from '@cnn/core';
import { emit, ops } from '@cnn/core/graph';
import { everyActivation } from './samples.js';

/** Number of classes of all networks. */
export const CLASSES = 7;

/** A network and the shape of its pictures. */
export interface Network {
  /** Channels, height, width. */
  readonly picture: Shape;
  readonly model: Module;
  /** True if the output is log-probabilities instead of logits. */
  readonly logProbabilities?: boolean;
  /** False if a batch norm has a single value per channel, which has no gradient. Default true. */
  readonly trains?: boolean;
}

const convNorm = (inChannels: number, outChannels: number, kernel: number, stride = 1, groups = 1) =>
  module(
    {
      conv: conv2d(inChannels, outChannels, kernel, { stride, padding: kernel >> 1, groups, bias: false }),
      bn: batchNorm(outChannels),
    },
    (m, x) => m.bn(m.conv(x)),
  );

const classifier = (features: number) =>
  module({ fc: linear(features, CLASSES) }, (m, x) => pipe(x, globalAvgPool, m.fc));

const basicBlock = (inChannels: number, channels: number, stride: number) =>
  module(
    {
      first: convNorm(inChannels, channels, 3, stride),
      second: convNorm(channels, channels, 3),
      shortcut: stride === 1 ? undefined : convNorm(inChannels, channels, 1, stride),
    },
    (m, x) => relu(add(m.second(relu(m.first(x))), m.shortcut ? m.shortcut(x) : x)),
  );

const squeezeExcitation = (channels: number) =>
  module({ down: conv2d(channels, 4, 1), up: conv2d(4, channels, 1) }, (m, x) =>
    mul(x, pipe(x, globalAvgPool, reshape([...x.shape.slice(0, 2), 1, 1]), m.down, relu, m.up, hardSigmoid)),
  );

const invertedResidual = (channels: number, kernel: number, activation: (x: Node) => Node) =>
  module(
    {
      expand: convNorm(channels, 3 * channels, 1),
      depthwise: convNorm(3 * channels, 3 * channels, kernel, 1, 3 * channels),
      gate: squeezeExcitation(3 * channels),
      project: convNorm(3 * channels, channels, 1),
    },
    (m, x) =>
      add(
        x,
        pipe(x, m.expand, activation, m.depthwise, activation, m.gate, m.project, stochasticDepth(0.25)),
      ),
  );

const inception = module(
  {
    one: conv2d(19, 8, 1),
    three: sequential(conv2d(19, 6, 1), relu, conv2d(6, 16, 3, { padding: 1 }), relu),
    five: sequential(conv2d(19, 3, 1), relu, conv2d(3, 5, [1, 5], { padding: [0, 2] }), relu),
    pooled: conv2d(19, 4, 1),
  },
  (m, x) =>
    concat([relu(m.one(x)), m.three(x), m.five(x), relu(m.pooled(maxPool(3, { stride: 1, padding: 1 })(x)))]),
);

const shuffleUnit = module(
  {
    grouped: convNorm(8, 8, 1, 1, 2),
    depthwise: convNorm(8, 8, 3, 1, 8),
    last: convNorm(8, 8, 1),
  },
  (m, x) =>
    channelShuffle(2)(
      concat([
        slice(1, 0, 8)(x),
        pipe(x, slice(1, 8), m.grouped, relu, channelShuffle(2), m.depthwise, m.last, relu),
      ]),
    ),
);

/** A layer of a dense block: batch norm and activation precede the convolution; its result is appended. */
const denseLayer = (channels: number) =>
  module({ norm: batchNorm(channels), conv: conv2d(channels, 4, 3, { padding: 1, bias: false }) }, (m, x) =>
    concat([x, m.conv(relu(m.norm(x)))]),
  );

/** Every activation after every op into which it may be fused, in parallel branches. */
const everyPlace = module(
  {
    branches: everyActivation.flatMap((attrs) => {
      const activation = (x: Node): Node => emit(ops.activation, [x], attrs);
      return [
        sequential(conv2d(9, 9, 3, { padding: 1 }), activation),
        sequential(conv2d(9, 9, 3, { padding: 1, groups: 9 }), activation),
        sequential(conv2d(9, 9, 1), activation),
        module({ conv: conv2d(9, 9, 1) }, (m, x) => activation(add(m.conv(x), x))),
        sequential(batchNorm(9), activation),
        module({}, (_, x) => activation(add(x, x))),
      ];
    }),
    hidden: everyActivation.map((attrs) =>
      sequential(linear(54 * everyActivation.length, 3), (x) => emit(ops.activation, [x], attrs)),
    ),
    fc: linear(3 * everyActivation.length, CLASSES),
  },
  (m, x) => {
    const features = globalAvgPool(concat(m.branches.map((branch) => branch(x))));
    return m.fc(concat(m.hidden.map((layer) => layer(features))));
  },
);

/** Networks by name. */
export const networks: Readonly<Record<string, Network>> = {
  'residual blocks': {
    picture: [3, 33, 29],
    model: sequential(
      convNorm(3, 16, 7, 2),
      relu,
      maxPool(3, { stride: 2, padding: 1 }),
      basicBlock(16, 16, 1),
      basicBlock(16, 24, 2),
      classifier(24),
    ),
  },
  'inverted residuals with squeeze-and-excitation': {
    picture: [3, 21, 22],
    model: sequential(
      pad([0, 1, 0, 1]),
      convNorm(3, 8, 3, 2),
      silu,
      invertedResidual(8, 3, relu6),
      invertedResidual(8, 5, hardSwish),
      dropout(0.2),
      classifier(8),
    ),
  },
  'inception with local response norm': {
    picture: [3, 18, 19],
    model: sequential(
      conv2d(3, 19, 3),
      relu,
      localResponseNorm(5, { alpha: 0.1 }),
      maxPool(3, { stride: 2, ceilMode: true }),
      inception,
      avgPool(3, { stride: 2, padding: 1, countIncludePad: false }),
      dropout(0.4),
      classifier(33),
    ),
  },
  'shuffle units': {
    picture: [3, 16, 15],
    model: sequential(convNorm(3, 16, 3, 2), relu, shuffleUnit, shuffleUnit, classifier(16)),
  },
  'dense layers': {
    picture: [5, 9, 9],
    model: sequential(denseLayer(5), denseLayer(9), avgPool(2), batchNorm(13), relu, classifier(13)),
  },
  'wide layers and a hidden layer': {
    picture: [1, 26, 26],
    model: sequential(
      conv2d(1, 32, 3, { padding: 1 }),
      relu,
      maxPool(2),
      conv2d(32, 40, 3, { padding: 1 }),
      relu,
      adaptiveAvgPool(4),
      flatten,
      linear(640, 64),
      relu,
      dropout(),
      linear(64, CLASSES),
    ),
  },
  'a LeNet': {
    picture: [1, 28, 28],
    logProbabilities: true,
    model: sequential(
      conv2d(1, 6, 5, { padding: 2 }),
      tanh,
      avgPool(2),
      conv2d(6, 16, 5),
      tanh,
      avgPool(2),
      flatten,
      linear(400, 84),
      tanh,
      linear(84, CLASSES),
      logSoftmax,
    ),
  },
  'pictures of one pixel': {
    picture: [10, 1, 1],
    trains: false,
    model: sequential(
      convNorm(10, 20, 1),
      relu,
      convNorm(20, 20, 3, 1, 20),
      relu6,
      basicBlock(20, 20, 1),
      classifier(20),
      softmax,
    ),
  },
  'every activation in every place': { picture: [9, 6, 5], model: everyPlace },
};
