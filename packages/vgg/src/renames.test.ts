import { parameters } from '@cnn/core';
import { expect, test } from 'vitest';
import { renames, vgg11 } from './index.js';

test("timm's names become torchvision's", () => {
  const heads = ['pre_logits.fc1', 'pre_logits.fc2', 'head.fc'];
  const timm = [...[0, 3, 6, 8, 11, 13, 16, 18].map((index) => `features.${index}`), ...heads].flatMap(
    (name) => [`${name}.weight`, `${name}.bias`],
  );
  expect(timm.map(renames.timm)).toEqual([...parameters(vgg11())].map(([name]) => name));
});
