/** Where weights for these models are published: torchvision has none. */
import type { Rename, WeightsRecord } from '@cnn/core';

const none: Readonly<Record<string, WeightsRecord>> = {};

/** Weights by model: none at torchvision; timm's and Cadene's files load when given by path or URL. */
export const weights = {
  seresnet18: none,
  seresnet34: none,
  seresnet50: none,
  seresnet101: none,
  seresnet152: none,
  se_resnet50_cadene: none,
} as const satisfies Record<string, Record<string, WeightsRecord>>;

/** Rules for checkpoints whose keys have other names. */
export const renames = {
  /** timm's `legacy_seresnet*`: names of Caffe files under a stride as ours. */
  legacy: [
    [/^layer0\.(conv1|bn1)\./, '$1.'],
    [/\.se_module\./, '.se.'],
    [/^last_linear\./, 'fc.'],
  ],
} as const satisfies Record<string, Rename>;
