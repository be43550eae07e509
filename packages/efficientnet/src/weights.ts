/** Published weights of these models. */
import { type Rename, torchvisionWeights, type WeightsRecord } from '@cnn/core';

const v1 = (file: string, top1: number, top5: number, resize: number, crop: number) => ({
  IMAGENET1K_V1: torchvisionWeights(file, top1, top5, {
    transform: { resize, crop, interpolation: 'bicubic' },
  }),
});

/** Weights by model, the default first. */
export const weights = {
  efficientnet_b0: v1('efficientnet_b0_rwightman-7f5810bc.pth', 77.692, 93.532, 256, 224),
  efficientnet_b1: {
    IMAGENET1K_V2: torchvisionWeights('efficientnet_b1-c27df63c.pth', 79.838, 94.934, {
      transform: { resize: 255, crop: 240 },
    }),
    IMAGENET1K_V1: v1('efficientnet_b1_rwightman-bac287d4.pth', 78.642, 94.186, 256, 240).IMAGENET1K_V1,
  },
  efficientnet_b2: v1('efficientnet_b2_rwightman-c35c1473.pth', 80.608, 95.31, 288, 288),
  efficientnet_b3: v1('efficientnet_b3_rwightman-b3899882.pth', 82.008, 96.054, 320, 300),
  efficientnet_b4: v1('efficientnet_b4_rwightman-23ab8bcd.pth', 83.384, 96.594, 384, 380),
  efficientnet_b5: v1('efficientnet_b5_lukemelas-1a07897c.pth', 83.444, 96.628, 456, 456),
  efficientnet_b6: v1('efficientnet_b6_lukemelas-24a108a5.pth', 84.008, 96.916, 528, 528),
  efficientnet_b7: v1('efficientnet_b7_lukemelas-c5b4e57e.pth', 84.122, 96.908, 600, 600),
} as const satisfies Record<string, Record<string, WeightsRecord>>;

/** timm's layers of a block, by their place in torchvision's: with an expansion before the filter, and without. */
const expanded: Readonly<Record<string, string>> = {
  conv_pw: '0.0',
  bn1: '0.1',
  conv_dw: '1.0',
  bn2: '1.1',
  'se.conv_reduce': '2.fc1',
  'se.conv_expand': '2.fc2',
  conv_pwl: '3.0',
  bn3: '3.1',
};
const plain: Readonly<Record<string, string>> = {
  conv_dw: '0.0',
  bn1: '0.1',
  'se.conv_reduce': '1.fc1',
  'se.conv_expand': '1.fc2',
  conv_pw: '2.0',
  bn2: '2.1',
};

/** Renaming rules for checkpoints with other parameter names. */
export const renames = {
  /** timm's `conv_stem`, `blocks.1.0.conv_pw`, ..., `conv_head`. */
  timm: (name) =>
    name
      .replace(/^conv_stem\./, 'features.0.0.')
      .replace(/^bn1\./, 'features.0.1.')
      .replace(/^conv_head\./, 'features.8.0.')
      .replace(/^bn2\./, 'features.8.1.')
      .replace(/^classifier\./, 'classifier.1.')
      .replace(
        /^blocks\.(\d+)\.(\d+)\.(.+)\.(\w+)$/,
        (_, stage: string, block: string, layer: string, kind: string) =>
          `features.${Number(stage) + 1}.${block}.block.${(stage === '0' ? plain : expanded)[layer]}.${kind}`,
      ),
} as const satisfies Record<string, Rename>;
