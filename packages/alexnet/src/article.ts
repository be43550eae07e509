/** The article's AlexNet exactly as it is printed. How it differs from the paper stands beside each line. */
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
        // The paper and the article's text say 0.5.
        dropout(0.1),
        // No adaptive pooling before it: only 224x224 pixels fit.
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

/** The article's own networks. */
export const article = {
  /** `Alexnet(n_classes)`. */
  alexnet,
};
