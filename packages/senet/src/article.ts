/**
 * The SENet in section 1.38.12 of the article "41_经典卷积网络、LeNet、AlexNet、…"
 * (Classic convolutional networks, in Chinese, http://www.chinasem.cn/article/918133).
 * It is reproduced as printed, and with `corrected: true` in a form for pictures of any size. A comment at each
 * difference from the paper describes it.
 */
import {
  adaptiveAvgPool,
  add,
  avgPool,
  batchNorm,
  conv2d,
  flatten,
  globalAvgPool,
  linear,
  type Module,
  module,
  mul,
  type Node,
  pipe,
  relu,
  sequential,
  sigmoid,
} from '@cnn/core';

const conv = (inC: number, outC: number, kernel: number, stride = 1) =>
  conv2d(inC, outC, kernel, { stride, padding: kernel >> 1, bias: false });

/** The squeeze of a block: the mean of each feature map. */
type Squeeze = (x: Node) => Node;

/** The printed squeeze, `F.avg_pool2d(out, out.size(2))`: its window is square, so the mean is that of a square map. */
const printedSqueeze: Squeeze = (x) => avgPool(x.shape[2]!)(x);

/** The article's `SEBlock`. */
const seBlock = (inC: number, outC: number, stride: number, squeeze: Squeeze): Module =>
  module(
    {
      conv1: conv(inC, outC, 3, stride),
      bn1: batchNorm(outC),
      conv2: conv(outC, outC, 3),
      bn2: batchNorm(outC),
      shortcut:
        stride === 1 && inC === outC ? undefined : sequential(conv(inC, outC, 1, stride), batchNorm(outC)),
      fc1: conv2d(outC, outC >> 4, 1),
      fc2: conv2d(outC >> 4, outC, 1),
    },
    (m, x) => {
      const out = pipe(x, m.conv1, m.bn1, relu, m.conv2, m.bn2);
      const gate = pipe(out, squeeze, m.fc1, relu, m.fc2, sigmoid);
      return relu(add(mul(out, gate), m.shortcut?.(x) ?? x));
    },
  );

/** The article's `PreActBlock`: normalised before each convolution (https://arxiv.org/abs/1603.05027). */
const preActBlock = (inC: number, outC: number, stride: number, squeeze: Squeeze): Module =>
  module(
    {
      bn1: batchNorm(inC),
      conv1: conv(inC, outC, 3, stride),
      bn2: batchNorm(outC),
      conv2: conv(outC, outC, 3),
      shortcut: stride === 1 && inC === outC ? undefined : sequential(conv(inC, outC, 1, stride)),
      fc1: conv2d(outC, outC >> 4, 1),
      fc2: conv2d(outC >> 4, outC, 1),
    },
    (m, x) => {
      const active = pipe(x, m.bn1, relu);
      const out = pipe(active, m.conv1, m.bn2, relu, m.conv2);
      const gate = pipe(out, squeeze, m.fc1, relu, m.fc2, sigmoid);
      return add(mul(out, gate), m.shortcut?.(active) ?? x);
    },
  );

/** Options of the article's network. */
interface ArticleOptions {
  /**
   * Global pooling and `linear(512)` instead of the printed head, which accepts 224x224 only, and instead of the square
   * windows of the squeezes. Default false.
   */
  readonly corrected?: boolean;
}

/**
 * The article's `SqueezeExcitationNet(block, num_blocks, num_classes)`: n x 3 x 224 x 224 to n x `numClasses`
 * logits. Differences from the paper: a CIFAR stem, so that the first stage works at full resolution (27 billion
 * multiply-adds); no batch norm after the last block; and a classifier on 7x7x512 values.
 */
function squeezeExcitationNet(
  block: 'preact' | 'basic',
  numBlocks: readonly [number, number, number, number],
  numClasses = 1000,
  { corrected = false }: ArticleOptions = {},
): Module {
  const make = block === 'preact' ? preActBlock : seBlock;
  const squeeze = corrected ? adaptiveAvgPool(1) : printedSqueeze;
  let inC = 64;
  const layer = (outC: number, count: number, stride: number): Module =>
    sequential(
      ...Array.from({ length: count }, (_, place) => {
        const unit = make(inC, outC, place === 0 ? stride : 1, squeeze);
        inC = outC;
        return unit;
      }),
    );
  return module(
    {
      conv1: conv(3, 64, 3),
      bn1: batchNorm(64),
      layer1: layer(64, numBlocks[0], 1),
      layer2: layer(128, numBlocks[1], 2),
      layer3: layer(256, numBlocks[2], 2),
      layer4: layer(512, numBlocks[3], 2),
      linear: linear(corrected ? 512 : 25_088, numClasses),
    },
    (m, x) => {
      // The first pre-activation block repeats the batch norm and ReLU of the stem.
      const features = pipe(x, m.conv1, m.bn1, relu, m.layer1, m.layer2, m.layer3, m.layer4);
      return m.linear(corrected ? globalAvgPool(features) : pipe(features, avgPool(4), flatten));
    },
  );
}

/** The networks of the article http://www.chinasem.cn/article/918133, under its names. */
export const article = {
  /** `SqueezeExcitationNet(block, num_blocks, num_classes)`. */
  squeezeExcitationNet,
  /** `SENet18()`, printed or corrected. */
  seNet18: (options: ArticleOptions = {}): Module =>
    squeezeExcitationNet('preact', [2, 2, 2, 2], 1000, options),
};
