/**
 * AlexNet (Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks",
 * https://papers.nips.cc/paper/4824).
 *
 * `alexnet` is torchvision's: the single tower of "One weird trick" (https://arxiv.org/abs/1404.5997),
 * without local response normalisation. `alexnet_2012` is the paper's net: two towers as two groups,
 * response normalisation, 227x227 pixels (the paper says 224, which contradicts the sizes of its feature
 * maps). Deviation: alpha is divided by the window's size, as in Caffe and PyTorch.
 */
import {
  adaptiveAvgPool,
  conv2d,
  dropout,
  flatten,
  linear,
  localResponseNorm,
  type Module,
  maxPool,
  module,
  pipe,
  relu,
  sequential,
} from '@cnn/core';

/** Options of both forms. */
export interface AlexnetOptions {
  /** Default 1000. */
  readonly numClasses?: number;
  /** Dropout probability before each of the two large layers, in training. Default 0.5. */
  readonly dropout?: number;
}

/** The three fully connected layers of section 3.5. */
const classifier = (numClasses: number, rate: number): Module =>
  sequential(
    dropout(rate),
    linear(256 * 6 * 6, 4096),
    relu,
    dropout(rate),
    linear(4096, 4096),
    relu,
    linear(4096, numClasses),
  );

/** torchvision's AlexNet: n x 3 x h x w (at least 63x63) to n x `numClasses` logits. */
export function alexnet({ numClasses = 1000, dropout: rate = 0.5 }: AlexnetOptions = {}): Module {
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
      classifier: classifier(numClasses, rate),
    },
    (m, x) => pipe(x, m.features, adaptiveAvgPool(6), flatten, m.classifier),
  );
}

/** The paper's AlexNet: n x 3 x 227 x 227 to n x `numClasses` logits. */
export function alexnet2012({ numClasses = 1000, dropout: rate = 0.5 }: AlexnetOptions = {}): Module {
  const pool = maxPool(3, { stride: 2 });
  const normalise = localResponseNorm(5, { alpha: 1e-4, beta: 0.75, k: 2 });
  return module(
    {
      features: sequential(
        conv2d(3, 96, 11, { stride: 4 }),
        relu,
        normalise,
        pool,
        conv2d(96, 256, 5, { padding: 2, groups: 2 }),
        relu,
        normalise,
        pool,
        conv2d(256, 384, 3, { padding: 1 }),
        relu,
        conv2d(384, 384, 3, { padding: 1, groups: 2 }),
        relu,
        conv2d(384, 256, 3, { padding: 1, groups: 2 }),
        relu,
        pool,
      ),
      classifier: classifier(numClasses, rate),
    },
    (m, x) => pipe(x, m.features, flatten, m.classifier),
  );
}
