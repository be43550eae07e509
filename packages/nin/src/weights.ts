/** Where weights for these models are published: the authors' are Caffe files, which are not read here. */
import type { WeightsRecord } from '@cnn/core';

/** Weights by model. */
export const weights = { nin: {}, nin_cifar10: {} } as const satisfies Record<
  string,
  Record<string, WeightsRecord>
>;

/** Rules for checkpoints whose keys have other names. */
export const renames = {};
