/**
 * VGG (Simonyan and Zisserman 2014, https://arxiv.org/abs/1409.1556, table 1), configurations A, B, D and E.
 *
 * Deviations: the `_bn` forms add batch norm after every convolution, which is younger than the paper;
 * adaptive pooling before the classifier accepts any picture of at least 32x32. Names are torchvision's.
 */
import {
  adaptiveAvgPool,
  batchNorm,
  constant,
  conv2d,
  dropout,
  flatten,
  kaimingNormal,
  linear,
  type Module,
  maxPool,
  module,
  type Node,
  normal,
  pipe,
  relu,
  sequential,
} from '@cnn/core';

/** Table 1: output channels of the 3x3 convolutions of each of the five stages; each ends in a max pooling. */
const configurations = {
  vgg11: [[64], [128], [256, 256], [512, 512], [512, 512]],
  vgg13: [
    [64, 64],
    [128, 128],
    [256, 256],
    [512, 512],
    [512, 512],
  ],
  vgg16: [
    [64, 64],
    [128, 128],
    [256, 256, 256],
    [512, 512, 512],
    [512, 512, 512],
  ],
  vgg19: [
    [64, 64],
    [128, 128],
    [256, 256, 256, 256],
    [512, 512, 512, 512],
    [512, 512, 512, 512],
  ],
} as const;

/** Options of every form. */
export interface VggOptions {
  /** Default 1000. */
  readonly numClasses?: number;
  /** Dropout probability after each of the two large layers, in training. Default 0.5. */
  readonly dropout?: number;
  /** Channels of the pictures. Default 3. */
  readonly inChannels?: number;
}

/** torchvision's initialisation of biases. */
const zero = constant(0);

type Step = Module | ((x: Node) => Node);

const vgg =
  (name: keyof typeof configurations, normalised: boolean) =>
  ({ numClasses = 1000, dropout: rate = 0.5, inChannels = 3 }: VggOptions = {}): Module => {
    let inC = inChannels;
    const layer = (outC: number): Step[] => {
      const convolution = conv2d(inC, outC, 3, { padding: 1, init: kaimingNormal('fanOut'), biasInit: zero });
      inC = outC;
      return normalised ? [convolution, batchNorm(outC), relu] : [convolution, relu];
    };
    const wide = { init: normal(0.01), biasInit: zero };
    return module(
      {
        features: sequential(
          ...configurations[name].flatMap((stage) => [...stage.flatMap(layer), maxPool(2)]),
        ),
        classifier: sequential(
          linear(512 * 7 * 7, 4096, wide),
          relu,
          dropout(rate),
          linear(4096, 4096, wide),
          relu,
          dropout(rate),
          linear(4096, numClasses, wide),
        ),
      },
      (m, x) => pipe(x, m.features, adaptiveAvgPool(7), flatten, m.classifier),
    );
  };

/** VGG-11, configuration A: n x 3 x h x w (at least 32x32) to n x `numClasses` logits. */
export const vgg11 = vgg('vgg11', false);
/** VGG-13, configuration B: n x 3 x h x w (at least 32x32) to n x `numClasses` logits. */
export const vgg13 = vgg('vgg13', false);
/** VGG-16, configuration D: n x 3 x h x w (at least 32x32) to n x `numClasses` logits. */
export const vgg16 = vgg('vgg16', false);
/** VGG-19, configuration E: n x 3 x h x w (at least 32x32) to n x `numClasses` logits. */
export const vgg19 = vgg('vgg19', false);
/** VGG-11 with batch norm after every convolution. */
export const vgg11Bn = vgg('vgg11', true);
/** VGG-13 with batch norm after every convolution. */
export const vgg13Bn = vgg('vgg13', true);
/** VGG-16 with batch norm after every convolution. */
export const vgg16Bn = vgg('vgg16', true);
/** VGG-19 with batch norm after every convolution. */
export const vgg19Bn = vgg('vgg19', true);
