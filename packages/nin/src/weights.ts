/** Published weights of these models: none, as the authors' are Caffe files, a format that @cnn/core does not read. */
import type { WeightsRecord } from '@cnn/core';

/** Weights by model. */
export const weights = { nin: {}, nin_cifar10: {} } as const satisfies Record<
  string,
  Record<string, WeightsRecord>
>;

/** Renaming rules for checkpoints with other parameter names. */
export const renames = {};
