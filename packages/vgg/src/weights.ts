/** Published weights of these models. */
import { type Rename, torchvisionWeights, type WeightsRecord } from '@cnn/core';

const v1 = (file: string, top1: number, top5: number) => ({
  IMAGENET1K_V1: torchvisionWeights(file, top1, top5),
});

/** Weights by model. */
export const weights = {
  vgg11: v1('vgg11-8a719046.pth', 69.02, 88.628),
  vgg13: v1('vgg13-19584684.pth', 69.928, 89.246),
  vgg16: v1('vgg16-397923af.pth', 71.592, 90.382),
  vgg19: v1('vgg19-dcbb9e9d.pth', 72.376, 90.876),
  vgg11_bn: v1('vgg11_bn-6002323d.pth', 70.37, 89.81),
  vgg13_bn: v1('vgg13_bn-abd245e5.pth', 71.586, 90.374),
  vgg16_bn: v1('vgg16_bn-6c64b313.pth', 73.36, 91.516),
  vgg19_bn: v1('vgg19_bn-c79401a0.pth', 74.218, 91.842),
} as const satisfies Record<string, Record<string, WeightsRecord>>;

/** Renaming rules for checkpoints with other parameter names. */
export const renames = {
  /** timm's `pre_logits.fc1`, `pre_logits.fc2` (convolutions over the whole feature map) and `head.fc`. */
  timm: (name) =>
    name
      .replace(/^pre_logits\.fc1\./, 'classifier.0.')
      .replace(/^pre_logits\.fc2\./, 'classifier.3.')
      .replace(/^head\.fc\./, 'classifier.6.'),
} as const satisfies Record<string, Rename>;
