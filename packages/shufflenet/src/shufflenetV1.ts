/**
 * ShuffleNetV1 (Zhang et al. 2017, https://arxiv.org/abs/1707.01083, table 1): grouped 1x1 convolutions, with
 * a channel shuffle that mixes the groups.
 *
 * `shufflenet_v1_g*` are the paper's; `shufflenet_v1_g3_megvii` follows the authors' later code: the shuffle
 * comes after the depthwise convolution and is the inverse permutation, and the classifier has no bias.
 */
import {
  add,
  avgPool,
  batchNorm,
  channelShuffle,
  concat,
  constant,
  conv2d,
  globalAvgPool,
  kaimingNormal,
  linear,
  type Module,
  maxPool,
  module,
  type Node,
  named,
  normal,
  pipe,
  relu,
  ShapeError,
  sequential,
} from '@cnn/core';

/** Table 1: output channels of stages 2 to 4 by the number of groups. */
const table = {
  1: [144, 288, 576],
  2: [200, 400, 800],
  3: [240, 480, 960],
  4: [272, 544, 1088],
  8: [384, 768, 1536],
} as const;

/** Blocks in stages 2 to 4. */
const repeats = [4, 8, 4] as const;

/** Options of every form. */
export interface ShufflenetV1Options {
  /** Default 1000. */
  readonly numClasses?: number;
  /** Factor on the channels of every layer (the paper's "0.5x"). Default 1. */
  readonly widthScale?: number;
}

const init = kaimingNormal('fanOut');
/** Shortcut of a unit of stride 2 (figure 2c); the average counts the padding. */
const halve = avgPool(3, { stride: 2, padding: 1 });
const shuffle = (groups: number) => (groups > 1 ? channelShuffle(groups) : (x: Node): Node => x);

/**
 * Output channels of the first layer and of stages 2 to 4.
 * @throws ShapeError if `groups` does not divide the channels of a stage's bottlenecks.
 */
function channelsOf(
  groups: keyof typeof table,
  widthScale: number,
): readonly [number, number, number, number] {
  const first = 24 * widthScale;
  const scaled = (channels: number): number => {
    const result = channels * widthScale;
    if (!Number.isInteger(first) || !Number.isInteger(result) || result % (4 * groups) !== 0)
      throw new ShapeError(
        `shufflenet_v1 with ${groups} groups and width ${widthScale} has ${result} channels, which ${4 * groups} does not divide; use a width such as 0.5, 1, 1.5 or 2.`,
      );
    return result;
  };
  const [second, third, fourth] = table[groups];
  return [first, scaled(second), scaled(third), scaled(fourth)];
}

/** A grouped 1x1 convolution with its batch norm and, if `rectified`, a ReLU, under the published names. */
const groupedConv = (inC: number, outC: number, groups: number, rectified: boolean): Module =>
  named({
    conv1x1: conv2d(inC, outC, 1, { groups, bias: false, init }),
    batch_norm: batchNorm(outC),
    ...(rectified ? { relu } : {}),
  });

/** Figure 2b (stride 1, added) and 2c (stride 2, concatenated). */
function shuffleUnit(inC: number, outC: number, groups: number, firstGroups: number, stride: 1 | 2): Module {
  const squeezed = outC / 4;
  const branch = stride === 2 ? outC - inC : outC;
  return module(
    {
      g_conv_1x1_compress: groupedConv(inC, squeezed, firstGroups, true),
      depthwise_conv3x3: conv2d(squeezed, squeezed, 3, {
        stride,
        padding: 1,
        groups: squeezed,
        bias: false,
        init,
      }),
      bn_after_depthwise: batchNorm(squeezed),
      g_conv_1x1_expand: groupedConv(squeezed, branch, groups, false),
    },
    (m, x) => {
      const out = pipe(
        x,
        m.g_conv_1x1_compress,
        shuffle(groups),
        m.depthwise_conv3x3,
        m.bn_after_depthwise,
        m.g_conv_1x1_expand,
      );
      return relu(stride === 2 ? concat([halve(x), out]) : add(x, out));
    },
  );
}

const shufflenetV1 =
  (groups: keyof typeof table) =>
  ({ numClasses = 1000, widthScale = 1 }: ShufflenetV1Options = {}): Module => {
    const channels = channelsOf(groups, widthScale);
    const stage = (index: 0 | 1 | 2): Module =>
      named(
        Object.fromEntries(
          Array.from({ length: repeats[index] }, (_, place) => [
            `ShuffleUnit_Stage${index + 2}_${place}`,
            place > 0
              ? shuffleUnit(channels[index + 1]!, channels[index + 1]!, groups, groups, 1)
              : // The very first 1x1 convolution has too few channels for groups (section 3.2).
                shuffleUnit(channels[index]!, channels[index + 1]!, groups, index === 0 ? 1 : groups, 2),
          ]),
        ),
      );
    return module(
      {
        conv1: sequential(
          conv2d(3, channels[0], 3, { stride: 2, padding: 1, bias: false, init }),
          batchNorm(channels[0]),
          relu,
        ),
        stage2: stage(0),
        stage3: stage(1),
        stage4: stage(2),
        fc: linear(channels[3], numClasses, { init: normal(0.001), biasInit: constant(0) }),
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
        ),
    );
  };

/** ShuffleNetV1 without groups: n x 3 x h x w to n x `numClasses` logits. */
export const shufflenetV1G1 = shufflenetV1(1);
/** ShuffleNetV1 with 2 groups: n x 3 x h x w to n x `numClasses` logits. */
export const shufflenetV1G2 = shufflenetV1(2);
/** ShuffleNetV1 with 3 groups, the paper's choice: n x 3 x h x w to n x `numClasses` logits. */
export const shufflenetV1G3 = shufflenetV1(3);
/** ShuffleNetV1 with 4 groups: n x 3 x h x w to n x `numClasses` logits. */
export const shufflenetV1G4 = shufflenetV1(4);
/** ShuffleNetV1 with 8 groups: n x 3 x h x w to n x `numClasses` logits. */
export const shufflenetV1G8 = shufflenetV1(8);

/** A unit in the form of the authors' code. */
function megviiUnit(inC: number, outC: number, groups: number, firstGroups: number, stride: 1 | 2): Module {
  const squeezed = outC / 4;
  const branch = stride === 2 ? outC - inC : outC;
  return module(
    {
      branch_main_1: sequential(
        conv2d(inC, squeezed, 1, { groups: firstGroups, bias: false, init }),
        batchNorm(squeezed),
        relu,
        conv2d(squeezed, squeezed, 3, { stride, padding: 1, groups: squeezed, bias: false, init }),
        batchNorm(squeezed),
      ),
      branch_main_2: sequential(
        conv2d(squeezed, branch, 1, { groups, bias: false, init }),
        batchNorm(branch),
      ),
    },
    (m, x) => {
      // The inverse of the paper's permutation: channels as a (c / groups) x groups table, read by columns.
      const out = pipe(x, m.branch_main_1, shuffle(squeezed / groups), m.branch_main_2);
      return stride === 2 ? concat([halve(x), relu(out)]) : relu(add(out, x));
    },
  );
}

/** ShuffleNetV1 with 3 groups, in the form of the authors' code: n x 3 x h x w to n x `numClasses` logits. */
export function shufflenetV1G3Megvii({
  numClasses = 1000,
  widthScale = 1,
}: ShufflenetV1Options = {}): Module {
  const groups = 3;
  const channels = channelsOf(groups, widthScale);
  const units = repeats.flatMap((count, index) =>
    Array.from({ length: count }, (_, place) =>
      place > 0
        ? megviiUnit(channels[index + 1]!, channels[index + 1]!, groups, groups, 1)
        : megviiUnit(channels[index]!, channels[index + 1]!, groups, index === 0 ? 1 : groups, 2),
    ),
  );
  return module(
    {
      first_conv: sequential(
        conv2d(3, channels[0], 3, { stride: 2, padding: 1, bias: false, init }),
        batchNorm(channels[0]),
        relu,
      ),
      features: sequential(...units),
      classifier: sequential(linear(channels[3], numClasses, { bias: false, init: normal(0.01) })),
    },
    (m, x) =>
      pipe(x, m.first_conv, maxPool(3, { stride: 2, padding: 1 }), m.features, globalAvgPool, m.classifier),
  );
}
