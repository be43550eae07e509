/**
 * ResNet-18 for CIFAR-10: the form of the article, which starts with a 3x3 convolution and has no first
 * pooling.
 */
import type { ModelEntry } from '@cnn/core';
import { article, models as published } from '@cnn/resnet';

/** Registry of models, as the packages of the families export it. */
export const models: Readonly<Record<string, ModelEntry>> = {
  resnet18_cifar: {
    ...published.resnet18,
    name: 'resnet18_cifar',
    build: article.resnet18,
    input: [1, 3, 32, 32],
  },
};
