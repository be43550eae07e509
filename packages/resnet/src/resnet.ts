/**
 * ResNet (He et al. 2015, https://arxiv.org/abs/1512.03385, table 1), ResNeXt
 * (https://arxiv.org/abs/1611.05431, table 1) and Wide ResNet (https://arxiv.org/abs/1605.07146).
 *
 * Deviation: the stride of a bottleneck is in its 3x3 convolution ("v1.5"), as in torchvision.
 * Parameter names are torchvision's.
 */
import {
  add,
  batchNorm,
  constant,
  conv2d,
  globalAvgPool,
  kaimingNormal,
  linear,
  type Module,
  maxPool,
  module,
  pipe,
  relu,
  sequential,
} from '@cnn/core';

interface Variant {
  readonly block: 'basic' | 'bottleneck';
  /** Blocks in each of the four stages. */
  readonly depths: readonly [number, number, number, number];
  readonly groups?: number;
  /** Channels of a group in the first stage. Default 64. */
  readonly groupWidth?: number;
}

/** The family as data. */
const variants = {
  resnet18: { block: 'basic', depths: [2, 2, 2, 2] },
  resnet34: { block: 'basic', depths: [3, 4, 6, 3] },
  resnet50: { block: 'bottleneck', depths: [3, 4, 6, 3] },
  resnet101: { block: 'bottleneck', depths: [3, 4, 23, 3] },
  resnet152: { block: 'bottleneck', depths: [3, 8, 36, 3] },
  resnext50_32x4d: { block: 'bottleneck', depths: [3, 4, 6, 3], groups: 32, groupWidth: 4 },
  resnext101_32x8d: { block: 'bottleneck', depths: [3, 4, 23, 3], groups: 32, groupWidth: 8 },
  wide_resnet50_2: { block: 'bottleneck', depths: [3, 4, 6, 3], groupWidth: 128 },
  wide_resnet101_2: { block: 'bottleneck', depths: [3, 4, 23, 3], groupWidth: 128 },
} as const satisfies Record<string, Variant>;

/** Options of every form. */
export interface ResnetOptions {
  /** Default 1000. */
  readonly numClasses?: number;
  /**
   * Initialises the weight of each block's last batch norm to 0, so that blocks start as identities
   * (https://arxiv.org/abs/1706.02677). Default false.
   */
  readonly zeroInitResidual?: boolean;
}

const conv = (inC: number, outC: number, kernel: number, stride = 1, groups = 1) =>
  conv2d(inC, outC, kernel, {
    stride,
    padding: kernel >> 1,
    groups,
    bias: false,
    init: kaimingNormal('fanOut'),
  });

/** Batch norm at the end of a block. */
const lastNorm = (channels: number, zero: boolean) => batchNorm(channels, { init: constant(zero ? 0 : 1) });

/** Returns a 1x1 projection for a shortcut that changes the shape, else undefined. */
const shortcut = (inC: number, outC: number, stride: number) =>
  stride === 1 && inC === outC ? undefined : sequential(conv(inC, outC, 1, stride), batchNorm(outC));

/** Figure 5, left: two 3x3 convolutions. */
const basic = (inC: number, outC: number, stride: number, zero: boolean): Module =>
  module(
    {
      conv1: conv(inC, outC, 3, stride),
      bn1: batchNorm(outC),
      conv2: conv(outC, outC, 3),
      bn2: lastNorm(outC, zero),
      downsample: shortcut(inC, outC, stride),
    },
    (m, x) => relu(add(pipe(x, m.conv1, m.bn1, relu, m.conv2, m.bn2), m.downsample?.(x) ?? x)),
  );

/** Figure 5, right: 1x1 down, 3x3, 1x1 up. */
const bottleneck = (
  inC: number,
  width: number,
  outC: number,
  stride: number,
  groups: number,
  zero: boolean,
): Module =>
  module(
    {
      conv1: conv(inC, width, 1),
      bn1: batchNorm(width),
      conv2: conv(width, width, 3, stride, groups),
      bn2: batchNorm(width),
      conv3: conv(width, outC, 1),
      bn3: lastNorm(outC, zero),
      downsample: shortcut(inC, outC, stride),
    },
    (m, x) =>
      relu(add(pipe(x, m.conv1, m.bn1, relu, m.conv2, m.bn2, relu, m.conv3, m.bn3), m.downsample?.(x) ?? x)),
  );

const resnet =
  ({ block, depths, groups = 1, groupWidth = 64 }: Variant) =>
  ({ numClasses = 1000, zeroInitResidual: zero = false }: ResnetOptions = {}): Module => {
    const expansion = block === 'basic' ? 1 : 4;
    const stage = (index: 0 | 1 | 2 | 3): Module =>
      sequential(
        ...Array.from({ length: depths[index] }, (_, place) => {
          const planes = 64 << index;
          const outC = planes * expansion;
          const inC = place > 0 ? outC : index > 0 ? outC / 2 : 64;
          const stride = index > 0 && place === 0 ? 2 : 1;
          if (block === 'basic') return basic(inC, outC, stride, zero);
          return bottleneck(inC, ((planes * groupWidth) / 64) * groups, outC, stride, groups, zero);
        }),
      );
    return module(
      {
        conv1: conv(3, 64, 7, 2),
        bn1: batchNorm(64),
        layer1: stage(0),
        layer2: stage(1),
        layer3: stage(2),
        layer4: stage(3),
        fc: linear(512 * expansion, numClasses),
      },
      (m, x) =>
        pipe(
          x,
          m.conv1,
          m.bn1,
          relu,
          maxPool(3, { stride: 2, padding: 1 }),
          m.layer1,
          m.layer2,
          m.layer3,
          m.layer4,
          globalAvgPool,
          m.fc,
        ),
    );
  };

/** ResNet-18: n x 3 x h x w to n x `numClasses` logits. */
export const resnet18 = resnet(variants.resnet18);
/** ResNet-34: n x 3 x h x w to n x `numClasses` logits. */
export const resnet34 = resnet(variants.resnet34);
/** ResNet-50: n x 3 x h x w to n x `numClasses` logits. */
export const resnet50 = resnet(variants.resnet50);
/** ResNet-101: n x 3 x h x w to n x `numClasses` logits. */
export const resnet101 = resnet(variants.resnet101);
/** ResNet-152: n x 3 x h x w to n x `numClasses` logits. */
export const resnet152 = resnet(variants.resnet152);
/** ResNeXt-50 with 32 groups of 4 channels. */
export const resnext50_32x4d = resnet(variants.resnext50_32x4d);
/** ResNeXt-101 with 32 groups of 8 channels. */
export const resnext101_32x8d = resnet(variants.resnext101_32x8d);
/** ResNet-50 with 3x3 convolutions of twice the width. */
export const wideResnet50_2 = resnet(variants.wide_resnet50_2);
/** ResNet-101 with 3x3 convolutions of twice the width. */
export const wideResnet101_2 = resnet(variants.wide_resnet101_2);
