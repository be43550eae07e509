/**
 * The DenseNet in section 1.38.7 of the article "41_经典卷积网络、LeNet、AlexNet、…"
 * (Classic convolutional networks, in Chinese, http://www.chinasem.cn/article/918133).
 * It is reproduced as printed; a comment at each difference from the paper describes it.
 */
import {
  avgPool,
  batchNorm,
  concat,
  conv2d,
  globalAvgPool,
  linear,
  type Module,
  maxPool,
  module,
  named,
  relu,
  sequential,
} from '@cnn/core';

/** One 3x3 convolution with a bias; the paper has a 1x1 bottleneck before it, and no biases. */
const convBlock = (inC: number, outC: number): Module =>
  sequential(batchNorm(inC), relu, conv2d(inC, outC, 3, { padding: 1 }));

const denseBlock = (inC: number, growth: number, count: number): Module =>
  module({ net: Array.from({ length: count }, (_, i) => convBlock(inC + i * growth, growth)) }, (m, x) =>
    m.net.reduce((all, layer) => concat([all, layer(all)]), x),
  );

const transition = (inC: number, outC: number): Module =>
  sequential(batchNorm(inC), relu, conv2d(inC, outC, 1), avgPool(2));

/** The article's `DenseNet(classes)`: n x 3 x h x w (at least 64x64) to n x `classes` logits. */
const denseNet = (classes: number): Module =>
  module(
    {
      net: named({
        '0': conv2d(3, 64, 7, { stride: 2, padding: 3 }),
        '1': batchNorm(64),
        '2': relu,
        // Published forms have a padding of 1 here.
        '3': maxPool(3, { stride: 2 }),
        // Four layers in each block; DenseNet-121 has 6, 12, 24 and 16.
        dense_block_0: denseBlock(64, 32, 4),
        // The article's misspelling, which is part of the parameter names.
        trainsition_block_0: transition(192, 96),
        dense_block_1: denseBlock(96, 32, 4),
        trainsition_block_1: transition(224, 112),
        dense_block_2: denseBlock(112, 32, 4),
        trainsition_block_2: transition(240, 120),
        dense_block_3: denseBlock(120, 32, 4),
        BN: batchNorm(248),
        relu,
        global_avg_pool: globalAvgPool,
        fc: linear(248, classes),
      }),
    },
    (m, x) => m.net(x),
  );

/** The networks of the article http://www.chinasem.cn/article/918133, under its names. */
export const article = {
  /** `DenseNet(classes)`. */
  denseNet,
};
