import { matchWeights, parameters, readWeights, sizeOf, writeSafetensors } from '@cnn/core';
import { expect, test } from 'vitest';
import { efficientnetB1, renames } from './index.js';

/** Returns timm's parameter names of EfficientNet-B1: two blocks without expansion, then blocks with it. */
function timmNames(): readonly string[] {
  const norm = (name: string) =>
    ['weight', 'bias', 'running_mean', 'running_var'].map((kind) => `${name}.${kind}`);
  const gate = (block: string) =>
    ['conv_reduce', 'conv_expand'].flatMap((layer) => [
      `${block}.se.${layer}.weight`,
      `${block}.se.${layer}.bias`,
    ]);
  const blocks = [2, 3, 3, 4, 4, 5, 2].flatMap((count, stage) =>
    Array.from({ length: count }, (_, index) => {
      const at = `blocks.${stage}.${index}`;
      if (stage === 0)
        return [
          `${at}.conv_dw.weight`,
          ...norm(`${at}.bn1`),
          ...gate(at),
          `${at}.conv_pw.weight`,
          ...norm(`${at}.bn2`),
        ];
      return [
        `${at}.conv_pw.weight`,
        ...norm(`${at}.bn1`),
        `${at}.conv_dw.weight`,
        ...norm(`${at}.bn2`),
        ...gate(at),
        `${at}.conv_pwl.weight`,
        ...norm(`${at}.bn3`),
      ];
    }).flat(),
  );
  return [
    'conv_stem.weight',
    ...norm('bn1'),
    ...blocks,
    'conv_head.weight',
    ...norm('bn2'),
    'classifier.weight',
    'classifier.bias',
  ];
}

test("timm's names become torchvision's, one for one and in order", async () => {
  const model = efficientnetB1();
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
  const weights = await readWeights(file, { rename: renames.timm });
  expect([...weights.keys()]).toEqual(expected.map(([name]) => name));
  expect(matchWeights(model, weights)).toEqual({ missing: [], unexpected: [], shapeMismatch: [] });
});
