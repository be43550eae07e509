/**
 * ShuffleNetV2 (Ma et al. 2018, https://arxiv.org/abs/1807.11164, table 5): half of the channels bypass a
 * unit, and a channel shuffle mixes the halves. Parameter names are torchvision's.
 */
import {
  batchNorm,
  channelShuffle,
  concat,
  conv2d,
  globalAvgPool,
  linear,
  type Module,
  maxPool,
  module,
  type Node,
  pipe,
  relu,
  sequential,
  slice,
} from '@cnn/core';

/** Table 5: output channels of the first layer, the three stages and the last convolution. */
const table = {
  x0_5: [24, 48, 96, 192, 1024],
  x1_0: [24, 116, 232, 464, 1024],
  x1_5: [24, 176, 352, 704, 1024],
  x2_0: [24, 244, 488, 976, 2048],
} as const;

/** Units in each stage. */
const repeats = [4, 8, 4] as const;

/** Options of every width. */
export interface ShufflenetV2Options {
  /** Default 1000. */
  readonly numClasses?: number;
}

type Steps = readonly (Module | ((x: Node) => Node))[];
const pointwise = (inC: number, outC: number): Steps => [
  conv2d(inC, outC, 1, { bias: false }),
  batchNorm(outC),
  relu,
];
const depthwise = (channels: number, stride: number): Steps => [
  conv2d(channels, channels, 3, { stride, padding: 1, groups: channels, bias: false }),
  batchNorm(channels),
];

/** Figure 3c (stride 1: one half bypasses the unit) and 3d (stride 2: both branches compute). */
function unit(inC: number, outC: number, stride: 1 | 2): Module {
  const half = outC / 2;
  const main = sequential(
    ...pointwise(stride === 1 ? half : inC, half),
    ...depthwise(half, stride),
    ...pointwise(half, half),
  );
  if (stride === 2)
    return module(
      { branch1: sequential(...depthwise(inC, 2), ...pointwise(inC, half)), branch2: main },
      (m, x) => channelShuffle(2)(concat([m.branch1(x), m.branch2(x)])),
    );
  return module({ branch2: main }, (m, x) =>
    channelShuffle(2)(concat([slice(1, 0, half)(x), m.branch2(slice(1, half)(x))])),
  );
}

const shufflenetV2 =
  (channels: (typeof table)[keyof typeof table]) =>
  ({ numClasses = 1000 }: ShufflenetV2Options = {}): Module => {
    const stage = (index: 0 | 1 | 2): Module =>
      sequential(
        ...Array.from({ length: repeats[index] }, (_, place) =>
          place === 0
            ? unit(channels[index], channels[index + 1]!, 2)
            : unit(channels[index + 1]!, channels[index + 1]!, 1),
        ),
      );
    return module(
      {
        conv1: sequential(conv2d(3, 24, 3, { stride: 2, padding: 1, bias: false }), batchNorm(24), relu),
        stage2: stage(0),
        stage3: stage(1),
        stage4: stage(2),
        conv5: sequential(...pointwise(channels[3], channels[4])),
        fc: linear(channels[4], numClasses),
      },
      (m, x) =>
        pipe(
          x,
          m.conv1,
          maxPool(3, { stride: 2, padding: 1 }),
          m.stage2,
          m.stage3,
          m.stage4,
          m.conv5,
          globalAvgPool,
          m.fc,
        ),
    );
  };

/** ShuffleNetV2 at half width: n x 3 x h x w to n x `numClasses` logits. */
export const shufflenetV2X0_5 = shufflenetV2(table.x0_5);
/** ShuffleNetV2: n x 3 x h x w to n x `numClasses` logits. */
export const shufflenetV2X1_0 = shufflenetV2(table.x1_0);
/** ShuffleNetV2 at 1.5 times the width: n x 3 x h x w to n x `numClasses` logits. */
export const shufflenetV2X1_5 = shufflenetV2(table.x1_5);
/** ShuffleNetV2 at double width: n x 3 x h x w to n x `numClasses` logits. */
export const shufflenetV2X2_0 = shufflenetV2(table.x2_0);
