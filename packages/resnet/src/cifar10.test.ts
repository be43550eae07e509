/** A published ResNet-20 gives PyTorch's logits on 1,000 of CIFAR-10's test pictures. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compile, readWeights } from '@cnn/core';
import { imagenetPreset, readCifar10 } from '@cnn/image';
import { readNpy, realData } from '@cnn/testing';
import { describe, expect, test } from 'vitest';
import { resnet20 } from './index.js';

const data = realData();

describe.skipIf(!data)('ResNet-20 on CIFAR-10 (skipped where the data is absent)', () => {
  test("gives PyTorch's logits and 80.4 %", { timeout: 600_000 }, async () => {
    const weights = await readWeights(join(data!, 'checkpoints/resnet20_cifar10-12fca82f.th'));
    const pictures = readCifar10(readFileSync(join(data!, 'cifar10/test_1000.bin')));
    const expected = readNpy(readFileSync(join(data!, 'expected/resnet20_cifar10_test_1000.logits.npy')));
    const { mean, std } = imagenetPreset;
    await using session = await compile(resnet20(), { weights, input: [1, 3, 32, 32] });
    let [right, worst] = [0, 0];
    for (let i = 0; i < pictures.size; i++) {
      const { pixels, label } = pictures.at(i);
      const x = Float32Array.from(pixels, (byte, at) => (byte / 255 - mean[at >> 10]!) / std[at >> 10]!);
      const { data: logits } = await session.run(x);
      for (const [c, logit] of logits.entries())
        worst = Math.max(worst, Math.abs(logit - expected.data[i * 10 + c]!));
      if (logits.indexOf(Math.max(...logits)) === label) right++;
    }
    expect(worst).toBeLessThan(1e-4);
    expect(right / pictures.size).toBe(0.804);
  });
});
