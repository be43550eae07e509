import { matchWeights, parameters, readWeights, sizeOf, writeSafetensors } from '@cnn/core';
import { expect, test } from 'vitest';
import { mobilenetV2, mobilenetV3Large, mobilenetV3Small, renames } from './index.js';

/** A convolution without bias, and its batch norm. */
const layer = (name: string, bn: string) => [
  `${name}.weight`,
  ...['weight', 'bias', 'running_mean', 'running_var'].map((kind) => `${bn}.${kind}`),
];

/** Returns timm's parameter names of MobileNetV2: a block without expansion, then blocks with it. */
function timmNames(): readonly string[] {
  const blocks = [1, 2, 3, 4, 3, 3, 1].flatMap((count, stage) =>
    Array.from({ length: count }, (_, index) => {
      const at = `blocks.${stage}.${index}`;
      const tail = stage === 0 ? [] : layer(`${at}.conv_pwl`, `${at}.bn3`);
      const [first, second] = stage === 0 ? ['conv_dw', 'conv_pw'] : ['conv_pw', 'conv_dw'];
      return [...layer(`${at}.${first}`, `${at}.bn1`), ...layer(`${at}.${second}`, `${at}.bn2`), ...tail];
    }).flat(),
  );
  return [
    ...layer('conv_stem', 'bn1'),
    ...blocks,
    ...layer('conv_head', 'bn2'),
    'classifier.weight',
    'classifier.bias',
  ];
}

test("timm's names become torchvision's, one for one and in order", async () => {
  const model = mobilenetV2();
  const expected = [...parameters(model)];
  const names = timmNames();
  expect(names.length).toBe(expected.length);
  const file = writeSafetensors(
    new Map(
      names.map((name, i) => [
        name,
        { shape: expected[i]![1].shape, data: new Float32Array(sizeOf(expected[i]![1].shape)) },
      ]),
    ),
  );
  const weights = await readWeights(file, { rename: renames.timmV2 });
  expect([...weights.keys()]).toEqual(expected.map(([name]) => name));
  expect(matchWeights(model, weights)).toEqual({ missing: [], unexpected: [], shapeMismatch: [] });
});

/** Returns timm's parameter names of MobileNetV3; the stages in `excited` have squeeze and excitation. */
function timmV3Names(counts: readonly number[], excited: readonly number[]): readonly string[] {
  const affine = (name: string) => [`${name}.weight`, `${name}.bias`];
  const blocks = counts.flatMap((count, stage) =>
    Array.from({ length: count }, (_, index) => {
      const at = `blocks.${stage}.${index}`;
      const se = excited.includes(stage)
        ? [...affine(`${at}.se.conv_reduce`), ...affine(`${at}.se.conv_expand`)]
        : [];
      return stage === 0
        ? [...layer(`${at}.conv_dw`, `${at}.bn1`), ...se, ...layer(`${at}.conv_pw`, `${at}.bn2`)]
        : [
            ...layer(`${at}.conv_pw`, `${at}.bn1`),
            ...layer(`${at}.conv_dw`, `${at}.bn2`),
            ...se,
            ...layer(`${at}.conv_pwl`, `${at}.bn3`),
          ];
    }).flat(),
  );
  const last = `blocks.${counts.length}.0`;
  return [
    ...layer('conv_stem', 'bn1'),
    ...blocks,
    ...layer(`${last}.conv`, `${last}.bn1`),
    ...affine('conv_head'),
    ...affine('classifier'),
  ];
}

test.each([
  ['large', mobilenetV3Large, renames.timmV3Large, timmV3Names([1, 2, 3, 4, 2, 3], [2, 4, 5])],
  ['small', mobilenetV3Small, renames.timmV3Small, timmV3Names([1, 2, 3, 2, 3], [0, 2, 3, 4])],
])(
  "timm's MobileNetV3 names (%s) become torchvision's, one for one and in order",
  (_, build, rename, names) => {
    expect(names.map(rename)).toEqual([...parameters(build())].map(([name]) => name));
  },
);
