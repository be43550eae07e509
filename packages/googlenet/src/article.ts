/**
 * The GoogLeNet in section 1.38.4 of the article "41_经典卷积网络、LeNet、AlexNet、…"
 * (Classic convolutional networks, in Chinese, http://www.chinasem.cn/article/918133).
 * It is reproduced as printed; a comment at each difference from the paper describes it.
 */
import {
  avgPool,
  batchNorm,
  concat,
  conv2d,
  flatten,
  linear,
  type Module,
  maxPool,
  module,
  pipe,
  relu,
  sequential,
} from '@cnn/core';

/** Convolution with a bias that the batch norm cancels, batch norm (the paper has none), ReLU. */
const layer = (inC: number, outC: number, kernel: number) => [
  conv2d(inC, outC, kernel, { padding: kernel >> 1 }),
  batchNorm(outC),
  relu,
];

function inception(
  inC: number,
  c1: number,
  c3Reduce: number,
  c3: number,
  c5Reduce: number,
  c5: number,
  pool: number,
): Module {
  return module(
    {
      b1: sequential(...layer(inC, c1, 1)),
      b2: sequential(...layer(inC, c3Reduce, 1), ...layer(c3Reduce, c3, 3)),
      // Two 3x3 convolutions, as in Inception v2; the paper, and the article's own comment, have one of 5x5.
      b3: sequential(...layer(inC, c5Reduce, 1), ...layer(c5Reduce, c5, 3), ...layer(c5, c5, 3)),
      b4: sequential(maxPool(3, { stride: 1, padding: 1 }), ...layer(inC, pool, 1)),
    },
    (m, x) => concat([m.b1(x), m.b2(x), m.b3(x), m.b4(x)]),
  );
}

/** The article's `Googlenet`: n x 3 x 32 x 32 to n x 10 logits; no auxiliary heads, no dropout. */
function googlenet(): Module {
  // The paper uses ceil mode instead of padding.
  const halve = maxPool(3, { stride: 2, padding: 1 });
  return module(
    {
      // The form for CIFAR-10: one 3x3 convolution. The paper has 7x7/2, pooling, 1x1, 3x3 and pooling.
      pre_layers: sequential(...layer(3, 192, 3)),
      a3: inception(192, 64, 96, 128, 16, 32, 32),
      b3: inception(256, 128, 128, 192, 32, 96, 64),
      a4: inception(480, 192, 96, 208, 16, 48, 64),
      b4: inception(512, 160, 112, 224, 24, 64, 64),
      c4: inception(512, 128, 128, 256, 24, 64, 64),
      d4: inception(512, 112, 144, 288, 32, 64, 64),
      e4: inception(528, 256, 160, 320, 32, 128, 128),
      a5: inception(832, 256, 160, 320, 32, 128, 128),
      b5: inception(832, 384, 192, 384, 48, 128, 128),
      linear: linear(1024, 10),
    },
    (m, x) =>
      pipe(
        x,
        m.pre_layers,
        m.a3,
        m.b3,
        halve,
        m.a4,
        m.b4,
        m.c4,
        m.d4,
        m.e4,
        halve,
        // A fixed 8x8 window: it accepts only 32x32 pixels.
        m.a5,
        m.b5,
        avgPool(8, { stride: 1 }),
        flatten,
        m.linear,
      ),
  );
}

/** The networks of the article http://www.chinasem.cn/article/918133, under its names. */
export const article = {
  /** `Googlenet`, for 32x32 pixels. */
  googlenet,
};
