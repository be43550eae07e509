/**
 * The ResNets in section 1.38.5 of the article "41_经典卷积网络、LeNet、AlexNet、…"
 * (Classic convolutional networks, in Chinese, http://www.chinasem.cn/article/918133).
 * They are reproduced as printed, except for the bottleneck, which cannot run as printed and has the smallest
 * correction. A comment at each difference from the paper, and at each correction, describes it.
 */
import {
  add,
  avgPool,
  batchNorm,
  conv2d,
  flatten,
  globalAvgPool,
  linear,
  type Module,
  module,
  pipe,
  relu,
  sequential,
} from '@cnn/core';

const conv = (inC: number, outC: number, kernel: number, stride = 1) =>
  conv2d(inC, outC, kernel, { stride, padding: kernel >> 1, bias: false });

const projection = (inC: number, outC: number, stride: number) =>
  sequential(conv(inC, outC, 1, stride), batchNorm(outC));

/** The article's `basicBlock`. */
const basic = (inC: number, outC: number, stride: number): Module =>
  module(
    {
      // The stride is in the second convolution; published, it is in the first.
      conv1: conv(inC, outC, 3),
      bn1: batchNorm(outC),
      conv2: conv(outC, outC, 3, stride),
      bn2: batchNorm(outC),
      // Printed as `in_channels != expansion * in_channels`, which is never true: only blocks with a stride project.
      shortcut: stride === 1 ? undefined : projection(inC, outC, stride),
    },
    (m, x) => relu(add(pipe(x, m.conv1, m.bn1, relu, m.conv2, m.bn2), m.shortcut?.(x) ?? x)),
  );

/** The article's `bottleneckBlock`, corrected. */
const bottleneck = (inC: number, planes: number, stride: number): Module =>
  module(
    {
      // Printed with the stride here and in conv2: the branch would shrink twice.
      conv1: conv(inC, planes, 1),
      bn1: batchNorm(planes),
      // Printed without padding: the branch would lose a pixel at each edge.
      conv2: conv(planes, planes, 3, stride),
      bn2: batchNorm(planes),
      conv3: conv(planes, 4 * planes, 1),
      bn3: batchNorm(4 * planes),
      // Printed without an identity for blocks that keep the shape.
      shortcut: stride === 1 && inC === 4 * planes ? undefined : projection(inC, 4 * planes, stride),
    },
    (m, x) =>
      relu(add(pipe(x, m.conv1, m.bn1, relu, m.conv2, m.bn2, relu, m.conv3, m.bn3), m.shortcut?.(x) ?? x)),
  );

/**
 * The article's `Resnet(block, num_blocks, num_classes)` for 32x32 pixels: a 3x3 convolution and no
 * pooling at the start. Basic blocks end in its fixed 4x4 average, bottlenecks (corrected) in a global one.
 */
function resnet(
  block: 'basic' | 'bottleneck',
  numBlocks: readonly [number, number, number, number],
  numClasses = 10,
): Module {
  const expansion = block === 'basic' ? 1 : 4;
  let inC = 64;
  const layer = (planes: number, count: number, stride: number): Module =>
    sequential(
      ...Array.from({ length: count }, (_, place) => {
        const first = place === 0 ? stride : 1;
        const unit = block === 'basic' ? basic(inC, planes, first) : bottleneck(inC, planes, first);
        inC = planes * expansion;
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
      linear: linear(512 * expansion, numClasses),
    },
    (m, x) => {
      const features = pipe(x, m.conv1, m.bn1, relu, m.layer1, m.layer2, m.layer3, m.layer4);
      return m.linear(block === 'basic' ? pipe(features, avgPool(4), flatten) : globalAvgPool(features));
    },
  );
}

/** The networks of the article http://www.chinasem.cn/article/918133, under its names. */
export const article = {
  /** `Resnet(block, num_blocks, num_classes)`, for 32x32 pixels. */
  resnet,
  /** `ResNet18()`. */
  resnet18: (): Module => resnet('basic', [2, 2, 2, 2]),
  /** `ResNet152()`, with the bottleneck corrected. */
  resnet152: (): Module => resnet('bottleneck', [3, 8, 36, 3]),
};
