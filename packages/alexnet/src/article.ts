/**
 * The AlexNet in section 1.38.2 of the article "41_经典卷积网络、LeNet、AlexNet、…"
 * (Classic convolutional networks, in Chinese, http://www.chinasem.cn/article/918133).
 * It is reproduced as printed; a comment at each difference from the paper describes it.
 */
import {
  conv2d,
  dropout,
  flatten,
  linear,
  type Module,
  maxPool,
  module,
  pipe,
  relu,
  sequential,
} from '@cnn/core';

/**
 * The article's `Alexnet(n_classes)`: n x 3 x 224 x 224 to n x `nClasses` logits. It is the single tower of
 * 2014 without response normalisation, although the text describes two towers and the normalisation.
 */
function alexnet(nClasses: number): Module {
  const pool = maxPool(3, { stride: 2 });
  return module(
    {
      features: sequential(
        conv2d(3, 64, 11, { stride: 4, padding: 2 }),
        relu,
        pool,
        conv2d(64, 192, 5, { padding: 2 }),
        relu,
        pool,
        conv2d(192, 384, 3, { padding: 1 }),
        relu,
        conv2d(384, 256, 3, { padding: 1 }),
        relu,
        conv2d(256, 256, 3, { padding: 1 }),
        relu,
        pool,
      ),
      classifier: sequential(
        // The paper, and the article's text, say 0.5.
        dropout(0.1),
        // No adaptive pooling before this layer: it accepts only 224x224 pixels.
        linear(256 * 6 * 6, 4096),
        relu,
        dropout(0.1),
        linear(4096, 4096),
        relu,
        linear(4096, nClasses),
      ),
    },
    (m, x) => pipe(x, m.features, flatten, m.classifier),
  );
}

/** The networks of the article http://www.chinasem.cn/article/918133, under its names. */
export const article = {
  /** `Alexnet(n_classes)`. */
  alexnet,
};
