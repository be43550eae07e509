/**
 * SE-ResNet (Hu et al. 2017, "Squeeze-and-excitation networks", https://arxiv.org/abs/1709.01507, table 1):
 * ResNets whose blocks end in a squeeze-and-excitation before the shortcut is added.
 *
 * `seresnet*` have timm's names and, like torchvision's ResNets, the stride in the 3x3 convolution.
 * `se_resnet50_cadene` is the form of the weights converted from the authors' Caffe files: the stride is in
 * the first 1x1 convolution, the first pooling uses ceil mode, and names run from layer0 to last_linear.
 */
import {
  add,
  batchNorm,
  conv2d,
  globalAvgPool,
  kaimingNormal,
  linear,
  type Module,
  maxPool,
  module,
  pipe,
  relu,
  ShapeError,
  sequential,
  squeezeExcitation,
} from '@cnn/core';

interface Variant {
  readonly block: 'basic' | 'bottleneck';
  /** Blocks in each of the four stages. */
  readonly depths: readonly [number, number, number, number];
}

/** The family as data. */
const variants = {
  seresnet18: { block: 'basic', depths: [2, 2, 2, 2] },
  seresnet34: { block: 'basic', depths: [3, 4, 6, 3] },
  seresnet50: { block: 'bottleneck', depths: [3, 4, 6, 3] },
  seresnet101: { block: 'bottleneck', depths: [3, 4, 23, 3] },
  seresnet152: { block: 'bottleneck', depths: [3, 8, 36, 3] },
} as const satisfies Record<string, Variant>;

/** Options of every form. */
export interface SenetOptions {
  /** Default 1000. */
  readonly numClasses?: number;
  /** Factor by which a gate squeezes channels. Default 16. */
  readonly reduction?: number;
}

const conv = (inC: number, outC: number, kernel: number, stride = 1) =>
  conv2d(inC, outC, kernel, { stride, padding: kernel >> 1, bias: false, init: kaimingNormal('fanOut') });

const shortcut = (inC: number, outC: number, stride: number) =>
  stride === 1 && inC === outC ? undefined : sequential(conv(inC, outC, 1, stride), batchNorm(outC));

/** Squeeze and excitation. @throws ShapeError if `reduction` leaves no channels. */
function gate(channels: number, reduction: number): Module {
  const squeezed = Math.floor(channels / reduction);
  if (!(squeezed >= 1))
    throw new ShapeError(
      `A reduction of ${reduction} leaves no channel of ${channels}; use one from 1 to ${channels}.`,
    );
  return squeezeExcitation(channels, squeezed);
}

/** Two 3x3 convolutions and a gate. */
const basic = (inC: number, outC: number, stride: number, reduction: number): Module =>
  module(
    {
      conv1: conv(inC, outC, 3, stride),
      bn1: batchNorm(outC),
      conv2: conv(outC, outC, 3),
      bn2: batchNorm(outC),
      se: gate(outC, reduction),
      downsample: shortcut(inC, outC, stride),
    },
    (m, x) => relu(add(pipe(x, m.conv1, m.bn1, relu, m.conv2, m.bn2, m.se), m.downsample?.(x) ?? x)),
  );

/** 1x1 down, 3x3, 1x1 up, and a gate (figure 3). */
const bottleneck = (inC: number, width: number, stride: number, reduction: number): Module =>
  module(
    {
      conv1: conv(inC, width, 1),
      bn1: batchNorm(width),
      conv2: conv(width, width, 3, stride),
      bn2: batchNorm(width),
      conv3: conv(width, 4 * width, 1),
      bn3: batchNorm(4 * width),
      se: gate(4 * width, reduction),
      downsample: shortcut(inC, 4 * width, stride),
    },
    (m, x) =>
      relu(
        add(
          pipe(x, m.conv1, m.bn1, relu, m.conv2, m.bn2, relu, m.conv3, m.bn3, m.se),
          m.downsample?.(x) ?? x,
        ),
      ),
  );

/** The bottleneck with the stride in its first convolution, and a gate called `se_module`. */
const caffeBottleneck = (inC: number, width: number, stride: number, reduction: number): Module =>
  module(
    {
      conv1: conv(inC, width, 1, stride),
      bn1: batchNorm(width),
      conv2: conv(width, width, 3),
      bn2: batchNorm(width),
      conv3: conv(width, 4 * width, 1),
      bn3: batchNorm(4 * width),
      se_module: gate(4 * width, reduction),
      downsample: shortcut(inC, 4 * width, stride),
    },
    (m, x) =>
      relu(
        add(
          pipe(x, m.conv1, m.bn1, relu, m.conv2, m.bn2, relu, m.conv3, m.bn3, m.se_module),
          m.downsample?.(x) ?? x,
        ),
      ),
  );

type Block = (inC: number, width: number, stride: number, reduction: number) => Module;

/** Stage i of table 1: `depth` blocks of width 64 * 2^i; all but the first stage halve height and width. */
const stage = (index: number, depth: number, block: Block, expansion: number, reduction: number): Module =>
  sequential(
    ...Array.from({ length: depth }, (_, place) => {
      const width = 64 << index;
      const inC = place > 0 ? width * expansion : index > 0 ? (width * expansion) / 2 : 64;
      return block(inC, width, index > 0 && place === 0 ? 2 : 1, reduction);
    }),
  );

const seresnet =
  ({ block, depths }: Variant) =>
  ({ numClasses = 1000, reduction = 16 }: SenetOptions = {}): Module => {
    const [make, expansion] = block === 'basic' ? ([basic, 1] as const) : ([bottleneck, 4] as const);
    return module(
      {
        conv1: conv(3, 64, 7, 2),
        bn1: batchNorm(64),
        layer1: stage(0, depths[0], make, expansion, reduction),
        layer2: stage(1, depths[1], make, expansion, reduction),
        layer3: stage(2, depths[2], make, expansion, reduction),
        layer4: stage(3, depths[3], make, expansion, reduction),
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

/** SE-ResNet-18: n x 3 x h x w to n x `numClasses` logits. */
export const seresnet18 = seresnet(variants.seresnet18);
/** SE-ResNet-34: n x 3 x h x w to n x `numClasses` logits. */
export const seresnet34 = seresnet(variants.seresnet34);
/** SE-ResNet-50: n x 3 x h x w to n x `numClasses` logits. */
export const seresnet50 = seresnet(variants.seresnet50);
/** SE-ResNet-101: n x 3 x h x w to n x `numClasses` logits. */
export const seresnet101 = seresnet(variants.seresnet101);
/** SE-ResNet-152: n x 3 x h x w to n x `numClasses` logits. */
export const seresnet152 = seresnet(variants.seresnet152);

/** SE-ResNet-50 as converted from the authors' Caffe files: n x 3 x h x w to n x `numClasses` logits. */
export function seResnet50Cadene({ numClasses = 1000, reduction = 16 }: SenetOptions = {}): Module {
  const stem = module({ conv1: conv(3, 64, 7, 2), bn1: batchNorm(64) }, (m, x) =>
    pipe(x, m.conv1, m.bn1, relu, maxPool(3, { stride: 2, ceilMode: true })),
  );
  return module(
    {
      layer0: stem,
      layer1: stage(0, 3, caffeBottleneck, 4, reduction),
      layer2: stage(1, 4, caffeBottleneck, 4, reduction),
      layer3: stage(2, 6, caffeBottleneck, 4, reduction),
      layer4: stage(3, 3, caffeBottleneck, 4, reduction),
      last_linear: linear(2048, numClasses),
    },
    (m, x) => pipe(x, m.layer0, m.layer1, m.layer2, m.layer3, m.layer4, globalAvgPool, m.last_linear),
  );
}
