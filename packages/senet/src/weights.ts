/** Published weights of these models: torchvision has none. */
import type { Rename, WeightsRecord } from '@cnn/core';

const none: Readonly<Record<string, WeightsRecord>> = {};

/** Weights by model: none at torchvision; timm's and Cadene's files can be loaded by path or URL. */
export const weights = {
  seresnet18: none,
  seresnet34: none,
  seresnet50: none,
  seresnet101: none,
  seresnet152: none,
  se_resnet50_cadene: none,
} as const satisfies Record<string, Record<string, WeightsRecord>>;

/** Renaming rules for checkpoints with other parameter names. */
export const renames = {
  /** timm's `legacy_seresnet*`: Caffe's names, with the stride in the 3x3 convolution. */
  legacy: [
    [/^layer0\.(conv1|bn1)\./, '$1.'],
    [/\.se_module\./, '.se.'],
    [/^last_linear\./, 'fc.'],
  ],
} as const satisfies Record<string, Rename>;
