/**
 * The VGG in section 1.38.3 of the article "41_经典卷积网络、LeNet、AlexNet、…"
 * (Classic convolutional networks, in Chinese, http://www.chinasem.cn/article/918133).
 * It is reproduced as printed; a comment at each difference from the paper describes it.
 */
import {
  avgPool,
  batchNorm,
  conv2d,
  flatten,
  linear,
  type Module,
  maxPool,
  module,
  pipe,
  relu,
  ShapeError,
  sequential,
} from '@cnn/core';

/** The article's table, configurations D and E only: output channels by stage. A max pooling ends each stage. */
const architecture = {
  16: [
    [64, 64],
    [128, 128],
    [256, 256, 256],
    [512, 512, 512],
    [512, 512, 512],
  ],
  19: [
    [64, 64],
    [128, 128],
    [256, 256, 256, 256],
    [512, 512, 512, 512],
    [512, 512, 512, 512],
  ],
} as const;

/**
 * The article's `VGGNet(n_classes, n_layers, in_channels)`: n x 3 x 32 x 32 to n x `nClasses` logits.
 * @throws ShapeError for a number of layers other than 16 and 19.
 */
function vggNet(nClasses: number, nLayers: 16 | 19, inChannels = 3): Module {
  const stages: readonly (readonly number[])[] | undefined = architecture[nLayers];
  if (!stages) throw new ShapeError(`The article's VGG has 16 or 19 layers, not ${String(nLayers)}.`);
  let inC = inChannels;
  // Batch norm after every convolution makes the convolution's bias redundant; the paper has no batch norm.
  const layer = (outC: number) => {
    const convolution = conv2d(inC, outC, 3, { padding: 1 });
    inC = outC;
    return [convolution, batchNorm(outC), relu];
  };
  const features = stages.flatMap((stage) => [...stage.flatMap(layer), maxPool(2)]);
  return module(
    {
      // The 1x1 average at the end changes nothing.
      features: sequential(...features, avgPool(1, { stride: 1 })),
      // The paper has three layers, with dropout.
      classifier: linear(512, nClasses),
    },
    (m, x) => pipe(x, m.features, flatten, m.classifier),
  );
}

/** The networks of the article http://www.chinasem.cn/article/918133, under its names. */
export const article = {
  /** `VGGNet(n_classes, n_layers, in_channels)`, 16 or 19 layers, for 32x32 pixels. */
  vggNet,
};
