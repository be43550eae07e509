/**
 * DenseNet (Huang et al. 2016, https://arxiv.org/abs/1608.06993, table 1): each layer of a block reads the
 * outputs of all earlier layers. `densenet_bc` is the CIFAR form of section 3 (bottlenecks, compression).
 * Parameter names are torchvision's.
 */
import {
  avgPool,
  batchNorm,
  concat,
  constant,
  conv2d,
  dropout,
  globalAvgPool,
  kaimingNormal,
  linear,
  type Module,
  maxPool,
  module,
  type Node,
  named,
  pipe,
  relu,
} from '@cnn/core';

/** Options of the ImageNet forms. */
export interface DensenetOptions {
  /** Default 1000. */
  readonly numClasses?: number;
  /** Channels that each layer adds. Default 32, for densenet161 48. */
  readonly growthRate?: number;
  /** Dropout probability of each layer's output, in training. Default 0. */
  readonly dropRate?: number;
}

/** Options of {@link densenetBc}. */
export interface DensenetBcOptions {
  /** Default 10. */
  readonly numClasses?: number;
  /** Channels that each layer adds. Default 12. */
  readonly growthRate?: number;
  /** Layers in each block. Default [16, 16, 16]: 100 layers in all. */
  readonly blocks?: readonly number[];
  /** Fraction of channels that a transition keeps. Default 0.5. */
  readonly compression?: number;
  /** Dropout probability of each layer's output, in training. Default 0. */
  readonly dropRate?: number;
}

interface Variant {
  readonly growthRate: number;
  readonly blocks: readonly number[];
  readonly initial: number;
}

/** Table 1. */
const variants = {
  densenet121: { growthRate: 32, blocks: [6, 12, 24, 16], initial: 64 },
  densenet161: { growthRate: 48, blocks: [6, 12, 36, 24], initial: 96 },
  densenet169: { growthRate: 32, blocks: [6, 12, 32, 32], initial: 64 },
  densenet201: { growthRate: 32, blocks: [6, 12, 48, 32], initial: 64 },
} as const satisfies Record<string, Variant>;

type Step = Module | ((x: Node) => Node);
const conv = (
  inC: number,
  outC: number,
  kernel: number,
  options: { stride?: number; padding?: number } = {},
) => conv2d(inC, outC, kernel, { ...options, bias: false, init: kaimingNormal() });

/** BN-ReLU-conv 1x1 to four times the growth rate, BN-ReLU-conv 3x3 to the growth rate. */
const denseLayer = (inC: number, growth: number, dropRate: number): Module =>
  module(
    {
      norm1: batchNorm(inC),
      conv1: conv(inC, 4 * growth, 1),
      norm2: batchNorm(4 * growth),
      conv2: conv(4 * growth, growth, 3, { padding: 1 }),
    },
    (m, x) => {
      const fresh = pipe(x, m.norm1, relu, m.conv1, m.norm2, relu, m.conv2);
      return concat([x, dropRate > 0 ? dropout(dropRate)(fresh) : fresh]);
    },
  );

const denseBlock = (inC: number, layers: number, growth: number, dropRate: number): Module =>
  named(
    Object.fromEntries(
      Array.from({ length: layers }, (_, i) => [
        `denselayer${i + 1}`,
        denseLayer(inC + i * growth, growth, dropRate),
      ]),
    ),
  );

/** Fewer channels (1x1 convolution), half the height and width (average pooling). */
const transition = (inC: number, outC: number): Module =>
  named({ norm: batchNorm(inC), relu, conv: conv(inC, outC, 1), pool: avgPool(2) });

/** The stem, blocks with transitions between them, a last batch norm, and the classifier. */
function densenet(
  stem: Readonly<Record<string, Step>>,
  initial: number,
  blocks: readonly number[],
  growth: number,
  compression: number,
  dropRate: number,
  numClasses: number,
): Module {
  const features: Record<string, Step> = { ...stem };
  let channels = initial;
  for (const [index, layers] of blocks.entries()) {
    features[`denseblock${index + 1}`] = denseBlock(channels, layers, growth, dropRate);
    channels += layers * growth;
    if (index === blocks.length - 1) break;
    const kept = Math.floor(channels * compression);
    features[`transition${index + 1}`] = transition(channels, kept);
    channels = kept;
  }
  features[`norm${blocks.length + 1}`] = batchNorm(channels);
  return module(
    { features: named(features), classifier: linear(channels, numClasses, { biasInit: constant(0) }) },
    (m, x) => pipe(x, m.features, relu, globalAvgPool, m.classifier),
  );
}

const imagenet =
  ({ growthRate: published, blocks, initial }: Variant) =>
  ({ numClasses = 1000, growthRate = published, dropRate = 0 }: DensenetOptions = {}): Module =>
    densenet(
      {
        conv0: conv(3, initial, 7, { stride: 2, padding: 3 }),
        norm0: batchNorm(initial),
        relu0: relu,
        pool0: maxPool(3, { stride: 2, padding: 1 }),
      },
      initial,
      blocks,
      growthRate,
      0.5,
      dropRate,
      numClasses,
    );

/** DenseNet-121: n x 3 x h x w (at least 29x29) to n x `numClasses` logits. */
export const densenet121 = imagenet(variants.densenet121);
/** DenseNet-161, with growth rate 48: n x 3 x h x w (at least 29x29) to n x `numClasses` logits. */
export const densenet161 = imagenet(variants.densenet161);
/** DenseNet-169: n x 3 x h x w (at least 29x29) to n x `numClasses` logits. */
export const densenet169 = imagenet(variants.densenet169);
/** DenseNet-201: n x 3 x h x w (at least 29x29) to n x `numClasses` logits. */
export const densenet201 = imagenet(variants.densenet201);

/** DenseNet-BC for CIFAR: n x 3 x 32 x 32 to n x `numClasses` logits. */
export function densenetBc(options: DensenetBcOptions = {}): Module {
  const {
    numClasses = 10,
    growthRate = 12,
    blocks = [16, 16, 16],
    compression = 0.5,
    dropRate = 0,
  } = options;
  const initial = 2 * growthRate;
  return densenet(
    { conv0: conv(3, initial, 3, { padding: 1 }) },
    initial,
    blocks,
    growthRate,
    compression,
    dropRate,
    numClasses,
  );
}
