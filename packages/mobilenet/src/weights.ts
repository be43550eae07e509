/** Published weights of these models, and parameter names of other code bases. */
import { type Rename, torchvisionWeights, type WeightsRecord } from '@cnn/core';

/** Weights by model, the default first. torchvision has none for MobileNetV1; see `renames.stages`. */
export const weights = {
  mobilenet_v1: {},
  mobilenet_v2: {
    IMAGENET1K_V2: torchvisionWeights('mobilenet_v2-7ebf99e0.pth', 72.154, 90.822, {
      transform: { resize: 232 },
    }),
    IMAGENET1K_V1: torchvisionWeights('mobilenet_v2-b0353104.pth', 71.878, 90.286),
  },
  mobilenet_v3_large: {
    IMAGENET1K_V2: torchvisionWeights('mobilenet_v3_large-5c1a4163.pth', 75.274, 92.566, {
      transform: { resize: 232 },
    }),
    IMAGENET1K_V1: torchvisionWeights('mobilenet_v3_large-8738ca79.pth', 74.042, 91.34),
  },
  mobilenet_v3_small: {
    IMAGENET1K_V1: torchvisionWeights('mobilenet_v3_small-047dcff4.pth', 67.668, 87.402),
  },
} as const satisfies Record<string, Record<string, WeightsRecord>>;

/** Number of layers before each stage of a MobileNetV1 in three stages, as face detectors use it. */
const before: Readonly<Record<string, number>> = { '1': 0, '2': 6, '3': 12 };

/** Blocks in each stage of MobileNetV2: timm numbers blocks within a stage, torchvision across stages. */
const v2Stages = [1, 2, 3, 4, 3, 3, 1];
const v2Expanded: Readonly<Record<string, string>> = {
  conv_pw: '0.0',
  bn1: '0.1',
  conv_dw: '1.0',
  bn2: '1.1',
  conv_pwl: '2',
  bn3: '3',
};
const v2Plain: Readonly<Record<string, string>> = { conv_dw: '0.0', bn1: '0.1', conv_pw: '1', bn2: '2' };

/** timm's stages of a MobileNetV3: blocks in each stage, and the stages with squeeze and excitation. */
interface V3Form {
  readonly stages: readonly number[];
  readonly excited: readonly number[];
}

/**
 * Returns a rule that renames timm's MobileNetV3 to torchvision's. timm's head is a 1x1 convolution, torchvision's a
 * linear layer with the same values.
 */
function timmV3({ stages, excited }: V3Form): (name: string) => string {
  const firstOf = (stage: number): number => stages.slice(0, stage).reduce((sum, count) => sum + count, 1);
  const last = firstOf(stages.length);
  return (name) =>
    name
      .replace(/^conv_stem\./, 'features.0.0.')
      .replace(/^bn1\./, 'features.0.1.')
      .replace(`blocks.${stages.length}.0.conv.`, `features.${last}.0.`)
      .replace(`blocks.${stages.length}.0.bn1.`, `features.${last}.1.`)
      .replace(/^conv_head\./, 'classifier.0.')
      .replace(/^classifier\.(weight|bias)$/, 'classifier.3.$1')
      .replace(
        /^blocks\.(\d+)\.(\d+)\.(.+)\.(\w+)$/,
        (_, stage: string, block: string, layer: string, kind: string) => {
          const filter = stage === '0' ? 0 : 1;
          const projection = filter + (excited.includes(Number(stage)) ? 2 : 1);
          const places: Readonly<Record<string, string>> = {
            conv_dw: `${filter}.0`,
            'se.conv_reduce': `${filter + 1}.fc1`,
            'se.conv_expand': `${filter + 1}.fc2`,
            ...(stage === '0'
              ? { bn1: '0.1', conv_pw: `${projection}.0`, bn2: `${projection}.1` }
              : {
                  conv_pw: '0.0',
                  bn1: '0.1',
                  bn2: '1.1',
                  conv_pwl: `${projection}.0`,
                  bn3: `${projection}.1`,
                }),
          };
          return `features.${firstOf(Number(stage)) + Number(block)}.block.${places[layer]}.${kind}`;
        },
      );
}

/** Renaming rules for checkpoints with other parameter names. The annotations let bundlers drop unused ones. */
export const renames = {
  /** MobileNetV1 in three stages (`stage1.0` to `stage3.1`); such checkpoints also need `leakyRelu(0.1)`. */
  stages: /* @__PURE__ */ Object.assign(
    (name: string) =>
      name.replace(
        /^stage([123])\.(\d+)\./,
        (_, stage: string, index: string) => `feature.${before[stage]! + Number(index)}.`,
      ),
    { options: { activation: 'leakyRelu:0.1' } },
  ),
  /** timm's MobileNetV3-Large (`mobilenetv3_large_100`). */
  timmV3Large: /* @__PURE__ */ timmV3({ stages: [1, 2, 3, 4, 2, 3], excited: [2, 4, 5] }),
  /** timm's MobileNetV3-Small (`mobilenetv3_small_100`). */
  timmV3Small: /* @__PURE__ */ timmV3({ stages: [1, 2, 3, 2, 3], excited: [0, 2, 3, 4] }),
  /** timm's MobileNetV2: `conv_stem`, `blocks.1.0.conv_pw`, ..., `conv_head`. */
  timmV2: (name) =>
    name
      .replace(/^conv_stem\./, 'features.0.0.')
      .replace(/^bn1\./, 'features.0.1.')
      .replace(/^conv_head\./, 'features.18.0.')
      .replace(/^bn2\./, 'features.18.1.')
      .replace(/^classifier\./, 'classifier.1.')
      .replace(
        /^blocks\.(\d+)\.(\d+)\.(\w+)\.(\w+)$/,
        (_, stage: string, block: string, layer: string, kind: string) => {
          const first = v2Stages.slice(0, Number(stage)).reduce((sum, count) => sum + count, 1);
          const place = (stage === '0' ? v2Plain : v2Expanded)[layer];
          return `features.${first + Number(block)}.conv.${place}.${kind}`;
        },
      ),
} as const satisfies Record<string, Rename>;
