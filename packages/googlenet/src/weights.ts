/** Published weights of these models. */
import { torchvisionWeights, type WeightsRecord } from '@cnn/core';

/** Weights by model, trained on inputs scaled to [-1, 1]. `rename` drops the auxiliary heads of the file. */
export const weights = {
  googlenet: {
    IMAGENET1K_V1: torchvisionWeights('googlenet-1378be20.pth', 69.778, 89.53, {
      transform: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
      rename: (name) => (/^aux[12]\./.test(name) ? undefined : name),
    }),
  },
} as const satisfies Record<string, Record<string, WeightsRecord>>;

/** Renaming rules for checkpoints with other parameter names. */
export const renames = {};
