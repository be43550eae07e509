/**
 * MobileNetV1 (Howard et al. 2017, https://arxiv.org/abs/1704.04861, table 1).
 *
 * Deviation: the last depthwise convolution has stride 1; the table's "s2" there is a misprint, since the
 * map is 7x7 before and after it.
 */
import {
  batchNorm,
  conv2d,
  globalAvgPool,
  linear,
  type Module,
  module,
  type Node,
  pipe,
  relu,
  ShapeError,
  sequential,
} from '@cnn/core';

/** Table 1 after the first convolution: output channels and stride of each depthwise separable layer. */
const table = [
  [64, 1],
  [128, 2],
  [128, 1],
  [256, 2],
  [256, 1],
  [512, 2],
  [512, 1],
  [512, 1],
  [512, 1],
  [512, 1],
  [512, 1],
  [1024, 2],
  [1024, 1],
] as const;

/** Options of {@link mobilenetV1}. */
export interface MobileNetV1Options {
  /** Factor on the channels of every layer (the paper's alpha). Default 1. */
  readonly width?: number;
  /** Default 1000. */
  readonly numClasses?: number;
  /** Activation after every batch norm. Default ReLU; a published quarter-width checkpoint needs `leakyRelu(0.1)`. */
  readonly activation?: (x: Node) => Node;
}

/** MobileNetV1: n x 3 x h x w to n x `numClasses` logits, for pictures of at least 32x32. */
export function mobilenetV1({
  width = 1,
  numClasses = 1000,
  activation = relu,
}: MobileNetV1Options = {}): Module {
  const scaled = (channels: number): number => Math.floor(channels * width);
  if (!(scaled(32) >= 1))
    throw new ShapeError(
      `mobilenet_v1 with width ${width} leaves none of 32 channels; use a width of at least 1/32.`,
    );
  const standard = (inC: number, outC: number, stride: number): Module =>
    sequential(conv2d(inC, outC, 3, { stride, padding: 1, bias: false }), batchNorm(outC), activation);
  /** Figure 3: a depthwise 3x3 that filters, a 1x1 that combines. */
  const separable = (inC: number, outC: number, stride: number): Module =>
    sequential(
      conv2d(inC, inC, 3, { stride, padding: 1, groups: inC, bias: false }),
      batchNorm(inC),
      activation,
      conv2d(inC, outC, 1, { bias: false }),
      batchNorm(outC),
      activation,
    );
  const channels = [32, ...table.map(([outC]) => outC)].map(scaled);
  return module(
    {
      feature: sequential(
        standard(3, channels[0]!, 2),
        ...table.map(([, stride], i) => separable(channels[i]!, channels[i + 1]!, stride)),
      ),
      fc: linear(channels.at(-1)!, numClasses),
    },
    (m, x) => pipe(x, m.feature, globalAvgPool, m.fc),
  );
}
