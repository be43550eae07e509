/**
 * The Network in Network in section 1.38.6 of the article "41_经典卷积网络、LeNet、AlexNet、…"
 * (Classic convolutional networks, in Chinese, http://www.chinasem.cn/article/918133).
 * It is reproduced as printed; a comment at each difference from the paper describes it.
 */
import { conv2d, dropout, globalAvgPool, type Module, maxPool, module, relu, sequential } from '@cnn/core';

const block = (inC: number, outC: number, kernel: number, stride: number, padding: number): Module =>
  sequential(
    conv2d(inC, outC, kernel, { stride, padding }),
    relu,
    conv2d(outC, outC, 1),
    relu,
    conv2d(outC, outC, 1),
    relu,
  );

/** The article's `NIN(classes)`: n x 3 x h x w (at least 67x67; 32x32 is too small) to n x `classes` logits. */
function nin(classes: number): Module {
  const pool = maxPool(3, { stride: 2 });
  return module(
    {
      net: sequential(
        block(3, 96, 11, 4, 0),
        pool,
        block(96, 256, 5, 1, 2),
        pool,
        block(256, 384, 3, 1, 1),
        pool,
        dropout(0.5),
        // The authors' ImageNet form has 1024, 1024 and `classes` channels here. ReLU is last: no logit is negative.
        block(384, classes, 3, 1, 1),
        globalAvgPool,
      ),
    },
    (m, x) => m.net(x),
  );
}

/** The networks of the article http://www.chinasem.cn/article/918133, under its names. */
export const article = {
  /** `NIN(classes)`. */
  nin,
};
