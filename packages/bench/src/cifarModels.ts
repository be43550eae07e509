/** ResNet-18 in a form for CIFAR-10: the article's, which starts with a 3x3 convolution and without pooling. */
import type { ModelEntry } from '@cnn/core';
import { article, models as published } from '@cnn/resnet';

/** As a family's registry. */
export const models: Readonly<Record<string, ModelEntry>> = {
  resnet18_cifar: {
    ...published.resnet18,
    name: 'resnet18_cifar',
    build: article.resnet18,
    input: [1, 3, 32, 32],
  },
};
