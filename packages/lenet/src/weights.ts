/** Where weights for these models are published, and how keys of other code bases map to ours. */
import type { Rename, WeightsRecord } from '@cnn/core';

/** Weights by model. No public LeNet-5 counts as the standard one, so this package ships its own. */
export const weights = {
  lenet5: {},
  lenet5_classic: {},
} as const satisfies Record<string, Record<string, WeightsRecord>>;

/** Rules for checkpoints whose keys have other names. */
export const renames = {
  /** `convnet.c1`, ..., `fc.f7`: the layers by their numbers in the paper. */
  paper: [
    [/^convnet\.c1\./, 'conv1.'],
    [/^convnet\.c3\./, 'conv2.'],
    [/^convnet\.c5\./, 'fc1.'],
    [/^fc\.f6\./, 'fc2.'],
    [/^fc\.f7\./, 'fc3.'],
  ],
} as const satisfies Record<string, Rename>;
