/** Published weights of these models. */
import { torchvisionWeights, type WeightsRecord } from '@cnn/core';

const none: Readonly<Record<string, WeightsRecord>> = {};
const wide = { transform: { resize: 232 } };

/** Weights by model. torchvision has none for ShuffleNetV1; the authors' files can be loaded by path or URL. */
export const weights: Readonly<Record<string, Readonly<Record<string, WeightsRecord>>>> = {
  shufflenet_v1_g1: none,
  shufflenet_v1_g2: none,
  shufflenet_v1_g3: none,
  shufflenet_v1_g4: none,
  shufflenet_v1_g8: none,
  shufflenet_v1_g3_megvii: none,
  shufflenet_v2_x0_5: {
    IMAGENET1K_V1: torchvisionWeights('shufflenetv2_x0.5-f707e7126e.pth', 60.552, 81.746),
  },
  shufflenet_v2_x1_0: { IMAGENET1K_V1: torchvisionWeights('shufflenetv2_x1-5666bf0f80.pth', 69.362, 88.316) },
  shufflenet_v2_x1_5: {
    IMAGENET1K_V1: torchvisionWeights('shufflenetv2_x1_5-3c479a10.pth', 72.996, 91.086, wide),
  },
  shufflenet_v2_x2_0: {
    IMAGENET1K_V1: torchvisionWeights('shufflenetv2_x2_0-8be3c8ee.pth', 76.23, 93.006, wide),
  },
};

/** Renaming rules for checkpoints with other parameter names. */
export const renames = {};
