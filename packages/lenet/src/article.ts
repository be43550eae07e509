/**
 * The LeNet in section 1.38.1 of the article "41_经典卷积网络、LeNet、AlexNet、…"
 * (Classic convolutional networks, in Chinese, http://www.chinasem.cn/article/918133).
 * It is reproduced as printed; a comment at each difference from the paper describes it.
 */
import { conv2d, flatten, linear, type Module, maxPool, module, named, pipe } from '@cnn/core';

/** The article's `Lenet`: n x 3 x 32 x 32 to n x 10 logits. 62,006 parameters; no activation anywhere. */
const lenet = (): Module =>
  module(
    {
      layer1: named({
        // Three input channels, although the text says 32x32x1; padding 1 makes 30x30 where the paper has 28x28.
        conv1: conv2d(3, 6, 5, { padding: 1 }),
        // The paper pools by averages, with a trainable coefficient, a trainable bias and a sigmoid.
        pool1: maxPool(2),
      }),
      layer2: named({ conv2: conv2d(6, 16, 5), pool2: maxPool(2) }),
      // The paper applies a scaled tanh after every layer; without it, these three layers are one linear map.
      layer3: named({ fc1: linear(400, 120), fc2: linear(120, 84), fc3: linear(84, 10) }),
    },
    (m, x) => pipe(x, m.layer1, m.layer2, flatten, m.layer3),
  );

/** The networks of the article http://www.chinasem.cn/article/918133, under its names. */
export const article = {
  /** `Lenet`: 62,006 parameters. */
  lenet,
};
