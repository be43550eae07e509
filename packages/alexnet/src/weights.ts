/** Published weights of these models. */
import { torchvisionWeights, type WeightsRecord } from '@cnn/core';

/** Weights by model; the paper's two-tower weights are not published in a supported format. */
export const weights = {
  alexnet: { IMAGENET1K_V1: torchvisionWeights('alexnet-owt-7be5be79.pth', 56.522, 79.066) },
  alexnet_2012: {},
} as const satisfies Record<string, Record<string, WeightsRecord>>;

/** Renaming rules for checkpoints with other parameter names. */
export const renames = {};
