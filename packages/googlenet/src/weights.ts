/** Where weights for these models are published. */
import { torchvisionWeights, type WeightsRecord } from '@cnn/core';

/** Weights by model. They were trained on inputs scaled to [-1, 1], and hold the auxiliary heads, which are left out. */
export const weights = {
  googlenet: {
    IMAGENET1K_V1: torchvisionWeights('googlenet-1378be20.pth', 69.778, 89.53, {
      transform: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
      rename: (name) => (/^aux[12]\./.test(name) ? undefined : name),
    }),
  },
} as const satisfies Record<string, Record<string, WeightsRecord>>;

/** Rules for checkpoints whose keys have other names. */
export const renames = {};
