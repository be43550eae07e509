/** Where weights for these models are published. */
import { torchvisionWeights, type WeightsRecord } from '@cnn/core';

/** Weights by model; the paper's own two-tower weights are not published in a form that is read here. */
export const weights = {
  alexnet: { IMAGENET1K_V1: torchvisionWeights('alexnet-owt-7be5be79.pth', 56.522, 79.066) },
  alexnet_2012: {},
} as const satisfies Record<string, Record<string, WeightsRecord>>;

/** Rules for checkpoints whose keys have other names. */
export const renames = {};
