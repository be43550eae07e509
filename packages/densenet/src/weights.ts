/** Published weights of these models, and parameter names of other code bases. */
import { type Rename, torchvisionWeights, type WeightsRecord } from '@cnn/core';

/** Renaming rules for checkpoints with other parameter names. */
export const renames = {
  /** torchvision's published files have `denselayer1.norm.1` for `denselayer1.norm1`. */
  dotted: [[/(denselayer\d+\.(?:norm|conv))\.(\d\.)/, '$1$2']],
} as const satisfies Record<string, Rename>;

const v1 = (file: string, top1: number, top5: number) => ({
  IMAGENET1K_V1: torchvisionWeights(file, top1, top5, { rename: renames.dotted }),
});

/** Weights by model. torchvision has none for the CIFAR form. */
export const weights = {
  densenet121: v1('densenet121-a639ec97.pth', 74.434, 91.972),
  densenet161: v1('densenet161-8d451a50.pth', 77.138, 93.56),
  densenet169: v1('densenet169-b2777c0a.pth', 75.6, 92.806),
  densenet201: v1('densenet201-c1103571.pth', 76.896, 93.37),
} as const satisfies Record<string, Record<string, WeightsRecord>>;
