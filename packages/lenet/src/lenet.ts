/**
 * LeNet-5 (LeCun et al. 1998, "Gradient-based learning applied to document recognition",
 * http://vision.stanford.edu/cs598_spring07/papers/Lecun98.pdf, figure 2), for 1x32x32 digits.
 *
 * Deviations: every map of C3 reads all six maps of S2 (the paper's table 1 omits some), pooling has
 * no trainable coefficients, and the output is linear where the paper has radial basis functions.
 * `lenet5` is today's form with ReLU and max pooling; `lenet5_classic` keeps tanh and averages.
 */
import {
  avgPool,
  conv2d,
  flatten,
  linear,
  type Module,
  maxPool,
  module,
  type Node,
  pipe,
  relu,
  tanh,
} from '@cnn/core';

/** Options of both forms. */
export interface LenetOptions {
  /** Classes to tell apart. Default 10. */
  readonly numClasses?: number;
  /** Channels of the pictures. Default 1. */
  readonly inChannels?: number;
}

type Step = (x: Node) => Node;

/** The paper's layers C1 to F6, for a choice of activation and pooling. */
const lenet =
  (activation: Step, pool: Step) =>
  ({ numClasses = 10, inChannels = 1 }: LenetOptions = {}): Module =>
    module(
      {
        conv1: conv2d(inChannels, 6, 5),
        conv2: conv2d(6, 16, 5),
        fc1: linear(16 * 5 * 5, 120),
        fc2: linear(120, 84),
        fc3: linear(84, numClasses),
      },
      (m, x) =>
        pipe(
          x,
          m.conv1,
          activation,
          pool,
          m.conv2,
          activation,
          pool,
          flatten,
          m.fc1,
          activation,
          m.fc2,
          activation,
          m.fc3,
        ),
    );

/** LeNet-5 with ReLU and max pooling: n x 1 x 32 x 32 to n x 10 logits. */
export const lenet5 = lenet(relu, maxPool(2));

/** LeNet-5 with tanh and average pooling, closer to 1998: n x 1 x 32 x 32 to n x 10 logits. */
export const lenet5Classic = lenet(tanh, avgPool(2));
