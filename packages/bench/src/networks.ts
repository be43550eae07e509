/**
 * The networks of the benchmark. Their weights follow the scheme of the goldens; `gain2` keeps the logits in
 * range.
 */
import type { Shape } from '@cnn/core';

/** A network to measure. */
export interface Network {
  /** Published name. */
  readonly name: string;
  /** Package of the network's family, or `cifar` for the networks of cifarModels.ts. */
  readonly family: string;
  /** Squared gain of the weights. */
  readonly gain2: number;
  /** Multiply-adds per picture, in millions; used to estimate the duration. */
  readonly macs: number;
  /** Channels, height and width of one picture. */
  readonly picture: Shape;
}

const network = (name: string, family: string, gain2: number, macs: number): Network => ({
  name,
  family,
  gain2,
  macs,
  picture: [3, 224, 224],
});

/** The networks of the main tables, in the order of the rows. */
export const networks: readonly Network[] = [
  network('vgg16', 'vgg', 1.5, 15470),
  network('resnet18', 'resnet', 0.75, 1814),
  network('resnet50', 'resnet', 0.75, 4089),
  network('resnext50_32x4d', 'resnet', 0.75, 4230),
  network('googlenet', 'googlenet', 1.5, 1498),
  network('densenet121', 'densenet', 1.5, 2834),
  network('mobilenet_v1', 'mobilenet', 1.5, 569),
  network('mobilenet_v2', 'mobilenet', 1, 301),
  network('mobilenet_v3_large', 'mobilenet', 1.375, 217),
  network('mobilenet_v3_small', 'mobilenet', 1.75, 57),
  network('efficientnet_b0', 'efficientnet', 1.875, 386),
  network('shufflenet_v2_x1_0', 'shufflenet', 1.5, 145),
  network('alexnet', 'alexnet', 1, 714),
];

/** Returns a network of the main tables on square pictures of another size. */
export function smaller(name: string, pixels: number): Network {
  const found = networks.find((network) => network.name === name)!;
  const [channels, height] = found.picture as [number, number, number];
  return { ...found, picture: [channels, pixels, pixels], macs: found.macs * (pixels / height) ** 2 };
}

/** LeNet-5 with ReLU and max pooling, for the training suites. */
export const lenet5: Network = { ...network('lenet5', 'lenet', 1, 0.4), picture: [1, 32, 32] };

/** ResNet-20 for CIFAR-10, for the training suites. */
export const resnet20: Network = { ...network('resnet20', 'resnet', 1, 41), picture: [3, 32, 32] };

/** ResNet-18 for CIFAR-10, for the training suites. */
export const resnet18Cifar: Network = { ...network('resnet18_cifar', 'cifar', 1, 500), picture: [3, 32, 32] };
