/** Published weights of these models, and parameter names of other code bases. */
import { type Rename, torchvisionWeights, type WeightsRecord } from '@cnn/core';

const v1 = (file: string, top1: number, top5: number) => ({
  IMAGENET1K_V1: torchvisionWeights(file, top1, top5),
});
type Published = readonly [file: string, top1: number, top5: number];
/** Two generations of weights: V2 was trained longer, and is evaluated after resizing to 232 pixels. */
const v2AndV1 = (second: Published, first: Published) => ({
  IMAGENET1K_V2: torchvisionWeights(...second, { transform: { resize: 232 } }),
  ...v1(...first),
});

/** Weights by model, the default first. torchvision has none for the CIFAR forms. */
export const weights = {
  resnet18: v1('resnet18-f37072fd.pth', 69.758, 89.078),
  resnet34: v1('resnet34-b627a593.pth', 73.314, 91.42),
  resnet50: v2AndV1(['resnet50-11ad3fa6.pth', 80.858, 95.434], ['resnet50-0676ba61.pth', 76.13, 92.862]),
  resnet101: v2AndV1(['resnet101-cd907fc2.pth', 81.886, 95.78], ['resnet101-63fe2227.pth', 77.374, 93.546]),
  resnet152: v2AndV1(['resnet152-f82ba261.pth', 82.284, 96.002], ['resnet152-394f9c45.pth', 78.312, 94.046]),
  resnext50_32x4d: v2AndV1(
    ['resnext50_32x4d-1a0047aa.pth', 81.198, 95.34],
    ['resnext50_32x4d-7cdf4587.pth', 77.618, 93.698],
  ),
  resnext101_32x8d: v2AndV1(
    ['resnext101_32x8d-110c445d.pth', 82.834, 96.228],
    ['resnext101_32x8d-8ba56ff5.pth', 79.312, 94.526],
  ),
  wide_resnet50_2: v2AndV1(
    ['wide_resnet50_2-9ba9bcbe.pth', 81.602, 95.758],
    ['wide_resnet50_2-95faca4d.pth', 78.468, 94.086],
  ),
  wide_resnet101_2: v2AndV1(
    ['wide_resnet101_2-d733dc28.pth', 82.51, 96.02],
    ['wide_resnet101_2-32ee1156.pth', 78.848, 94.284],
  ),
} as const satisfies Record<string, Record<string, WeightsRecord>>;

/** Renaming rules for checkpoints with other parameter names. */
export const renames = {
  /** Checkpoints for CIFAR-10 that call the projection `shortcut` and the classifier `linear`, to torchvision's names. */
  cifarToTorchvision: [
    [/\.shortcut\./, '.downsample.'],
    [/^linear\./, 'fc.'],
  ],
  /** torchvision's and timm's names to those of the CIFAR forms. */
  torchvisionToCifar: [
    [/\.downsample\./, '.shortcut.'],
    [/^fc\./, 'linear.'],
  ],
} as const satisfies Record<string, Rename>;
