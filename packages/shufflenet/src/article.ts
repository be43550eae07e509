/**
 * The ShuffleNets in sections 1.38.13 and 1.38.14 of the article "41_经典卷积网络、LeNet、AlexNet、…"
 * (Classic convolutional networks, in Chinese, http://www.chinasem.cn/article/918133).
 * They are reproduced as printed; a comment at each difference from the papers describes it.
 */
import {
  add,
  avgPool,
  batchNorm,
  channelShuffle,
  concat,
  conv2d,
  flatten,
  globalAvgPool,
  linear,
  logSoftmax,
  type Module,
  maxPool,
  module,
  named,
  pipe,
  relu,
  ShapeError,
  sequential,
  slice,
} from '@cnn/core';

/** The article's table; for one group, the last stage of the paper has 576 channels. */
const v1Channels: Readonly<Record<number, readonly [number, number, number]>> = {
  1: [144, 288, 567],
  2: [200, 400, 800],
  3: [240, 480, 960],
  4: [272, 544, 1088],
  8: [384, 768, 1536],
};

/** The article's `ShuffleUnit`. Its 1x1 convolutions have a bias, which is redundant before batch norm. */
function shuffleUnit(
  inC: number,
  outC: number,
  groups: number,
  firstGroups: number,
  combine: 'add' | 'concat',
): Module {
  // 567 is not a multiple of 4; like the article, this rounds the quarter down.
  const squeezed = Math.floor(outC / 4);
  const branch = combine === 'concat' ? outC - inC : outC;
  return module(
    {
      g_conv_1x1_compress: named({
        conv1x1: conv2d(inC, squeezed, 1, { groups: firstGroups }),
        batch_norm: batchNorm(squeezed),
        relu,
      }),
      depthwise_conv3x3: conv2d(squeezed, squeezed, 3, {
        stride: combine === 'concat' ? 2 : 1,
        padding: 1,
        groups: squeezed,
        bias: false,
      }),
      bn_after_depthwise: batchNorm(squeezed),
      g_conv_1x1_expand: named({
        conv1x1: conv2d(squeezed, branch, 1, { groups }),
        batch_norm: batchNorm(branch),
      }),
    },
    (m, x) => {
      const out = pipe(
        x,
        m.g_conv_1x1_compress,
        channelShuffle(groups),
        m.depthwise_conv3x3,
        m.bn_after_depthwise,
        m.g_conv_1x1_expand,
      );
      const shortcut = combine === 'concat' ? avgPool(3, { stride: 2, padding: 1 })(x) : x;
      return relu(combine === 'concat' ? concat([shortcut, out]) : add(shortcut, out));
    },
  );
}

/** Options of the article's ShuffleNetV1. */
interface V1Options {
  /** 1, 2, 3, 4 or 8. Default 3. */
  readonly groups?: number;
  /** Default 3. */
  readonly inChannels?: number;
  /** Default 1000. */
  readonly numClasses?: number;
}

/**
 * The article's ShuffleNetV1: n x `inChannels` x h x w to n x `numClasses` log-probabilities (not logits).
 * @throws ShapeError for another number of groups.
 */
function shuffleNetV1({ groups = 3, inChannels = 3, numClasses = 1000 }: V1Options = {}): Module {
  const stages = v1Channels[groups];
  if (!stages) throw new ShapeError(`The article's ShuffleNetV1 has 1, 2, 3, 4 or 8 groups, not ${groups}.`);
  const channels = [24, ...stages];
  const stage = (index: number, repeats: number): Module =>
    named(
      Object.fromEntries(
        Array.from({ length: repeats + 1 }, (_, place) => [
          `ShuffleUnit_Stage${index + 2}_${place}`,
          place === 0
            ? shuffleUnit(channels[index]!, channels[index + 1]!, groups, index === 0 ? 1 : groups, 'concat')
            : shuffleUnit(channels[index + 1]!, channels[index + 1]!, groups, groups, 'add'),
        ]),
      ),
    );
  return module(
    {
      // The paper has batch norm and ReLU after this convolution.
      conv1: conv2d(inChannels, 24, 3, { stride: 2, padding: 1 }),
      stage2: stage(0, 3),
      stage3: stage(1, 7),
      stage4: stage(2, 3),
      fc: linear(channels[3]!, numClasses),
    },
    (m, x) =>
      pipe(
        x,
        m.conv1,
        maxPool(3, { stride: 2, padding: 1 }),
        m.stage2,
        m.stage3,
        m.stage4,
        globalAvgPool,
        m.fc,
        logSoftmax,
      ),
  );
}

/** The article's table of widths; at width 2 the published first stage has 244 channels. */
const v2Channels: Readonly<Record<string, readonly [number, number, number, number]>> = {
  0.5: [48, 96, 192, 1024],
  1: [116, 232, 464, 1024],
  1.5: [176, 352, 704, 1024],
  2: [224, 488, 976, 2048],
};

/** The article's `InvertedResidual`; its misspelling of the branches is part of the parameter names. */
function invertedResidual(inC: number, outC: number, first: boolean): Module {
  const half = Math.floor(outC / 2);
  const stride = first ? 2 : 1;
  const pointwise = (from: number) => [conv2d(from, half, 1, { bias: false }), batchNorm(half), relu];
  const depthwise = (channels: number) => [
    conv2d(channels, channels, 3, { stride, padding: 1, groups: channels, bias: false }),
    batchNorm(channels),
  ];
  const main = sequential(...pointwise(first ? inC : half), ...depthwise(half), ...pointwise(half));
  if (first)
    return module({ banch1: sequential(...depthwise(inC), ...pointwise(inC)), banch2: main }, (m, x) =>
      channelShuffle(2)(concat([m.banch1(x), m.banch2(x)])),
    );
  return module({ banch2: main }, (m, x) =>
    channelShuffle(2)(concat([slice(1, 0, half)(x), m.banch2(slice(1, half)(x))])),
  );
}

/** Options of the article's ShuffleNetV2. */
interface V2Options {
  /** Default 1000. */
  readonly nClass?: number;
  /** 0.5, 1, 1.5 or 2. Default 1. */
  readonly widthMult?: number;
}

/**
 * The article's ShuffleNetV2: n x 3 x 224 x 224 to n x `nClass` logits.
 * @throws ShapeError for another width, for which the article fails on a missing attribute.
 */
function shuffleNetV2({ nClass = 1000, widthMult = 1 }: V2Options = {}): Module {
  const channels = v2Channels[String(widthMult)];
  if (!channels)
    throw new ShapeError(`The article's ShuffleNetV2 has widths 0.5, 1, 1.5 and 2, not ${widthMult}.`);
  const widths = [24, ...channels];
  const units = [4, 8, 4].flatMap((repeats, index) =>
    Array.from({ length: repeats }, (_, place) =>
      place === 0
        ? invertedResidual(widths[index]!, widths[index + 1]!, true)
        : invertedResidual(widths[index + 1]!, widths[index + 1]!, false),
    ),
  );
  return module(
    {
      conv1: sequential(conv2d(3, 24, 3, { stride: 2, padding: 1, bias: false }), batchNorm(24), relu),
      features: sequential(...units),
      conv_last: sequential(conv2d(widths[3]!, widths[4]!, 1, { bias: false }), batchNorm(widths[4]!), relu),
      classifier: sequential(linear(widths[4]!, nClass)),
    },
    (m, x) =>
      pipe(
        x,
        m.conv1,
        maxPool(3, { stride: 2, padding: 1 }),
        m.features,
        m.conv_last,
        // A fixed 7x7 average: it accepts only 224x224 pixels.
        avgPool(7),
        flatten,
        m.classifier,
      ),
  );
}

/** The networks of the article http://www.chinasem.cn/article/918133, under its names. */
export const article = {
  /** ShuffleNetV1; gives log-probabilities. */
  shuffleNetV1,
  /** ShuffleNetV2, for 224x224 pixels. */
  shuffleNetV2,
};
