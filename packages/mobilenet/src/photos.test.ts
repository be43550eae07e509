/** A published checkpoint on real photos: logits and accuracy are PyTorch's on Pillow's pixels. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compile, leakyRelu, readWeights } from '@cnn/core';
import { decodeImage, imagenetPreset, transform } from '@cnn/image';
import { readNpy, realData } from '@cnn/testing';
import { describe, expect, test } from 'vitest';
import { mobilenetV1, renames } from './index.js';

const data = realData();

describe.skipIf(!data)('MobileNetV1 x0.25 on 109 photos (skipped where the data is absent)', () => {
  test("gives PyTorch's logits, top-1 55.96 % and top-5 77.98 %", { timeout: 300_000 }, async () => {
    const weights = await readWeights(join(data!, 'checkpoints/mobilenetv1_025_imagenet.tar'), {
      rename: renames.stages,
    });
    const model = mobilenetV1({ width: 0.25, activation: leakyRelu(0.1) });
    await using session = await compile(model, { weights, input: [1, 3, 224, 224] });
    const { results } = JSON.parse(
      readFileSync(join(data!, 'expected/mobilenetv1_025_photos.json'), 'utf8'),
    ) as {
      results: readonly { readonly file: string; readonly label: number }[];
    };
    const expected = readNpy(readFileSync(join(data!, 'expected/mobilenetv1_025_photos.logits.npy')));
    expect(expected.shape).toEqual([109, 1000]);
    let [first, firstFive, worst] = [0, 0, 0];
    for (const [index, { file, label }] of results.entries()) {
      const image = await decodeImage(readFileSync(join(data!, file)));
      const { data: logits } = await session.run(transform(image, imagenetPreset));
      for (const [i, logit] of logits.entries())
        worst = Math.max(worst, Math.abs(logit - expected.data[index * 1000 + i]!));
      const better = logits.filter((logit) => logit > logits[label]!).length;
      if (better === 0) first++;
      if (better < 5) firstFive++;
    }
    expect(worst).toBeLessThan(1e-4);
    expect((100 * first) / 109).toBeCloseTo(55.96, 2);
    expect((100 * firstFive) / 109).toBeCloseTo(77.98, 2);
  });
});
