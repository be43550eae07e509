/** Published weights of these models, and parameter names of other code bases. */
import type { Rename, WeightsRecord } from '@cnn/core';

/** Weights by model. There is no standard checkpoint of LeNet-5, so this package ships one (`scripts/train.ts`). */
export const weights = {
  lenet5: {
    MNIST: {
      url: 'package:@cnn/lenet/weights/lenet5.safetensors',
      bytes: 247_624,
      sha256: '1e26dcab15e99a6dd4aa41fac3bb288bc3f494311bee4f616e402a727e9ba035',
      licence: 'MIT',
      // MNIST's 28x28 digits are centred in 32x32.
      transform: { resize: 32, crop: 32, interpolation: 'bilinear', mean: [0], std: [1] },
      categories: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
      top1: 99.05,
    },
  },
  lenet5_classic: {},
} as const satisfies Record<string, Record<string, WeightsRecord>>;

/** Renaming rules for checkpoints with other parameter names. */
export const renames = {
  /** `convnet.c1`, ..., `fc.f7`: layers named by their numbers in the paper. */
  paper: [
    [/^convnet\.c1\./, 'conv1.'],
    [/^convnet\.c3\./, 'conv2.'],
    [/^convnet\.c5\./, 'fc1.'],
    [/^fc\.f6\./, 'fc2.'],
    [/^fc\.f7\./, 'fc3.'],
  ],
} as const satisfies Record<string, Rename>;
