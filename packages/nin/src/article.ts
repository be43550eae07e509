/** The article's Network in Network exactly as it is printed. How it differs from the paper stands beside each line. */
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

/** The article's `NIN(classes)`: n x 3 x h x w (67x67 up; 32x32 does not fit) to n x `classes` logits. */
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
        // The authors' ImageNet form has 1024, 1024 and then the classes here. ReLU comes last: no logit is negative.
        block(384, classes, 3, 1, 1),
        globalAvgPool,
      ),
    },
    (m, x) => m.net(x),
  );
}

/** The article's own networks. */
export const article = {
  /** `NIN(classes)`. */
  nin,
};
