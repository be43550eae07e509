/** The shipped weights and a published checkpoint on MNIST's test set. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compile, readWeights, type Weights } from '@cnn/core';
import { type Dataset, readMnist } from '@cnn/image';
import { readNpy, realData } from '@cnn/testing';
import { beforeAll, describe, expect, test } from 'vitest';
import { lenet5, models, renames } from './index.js';

const data = realData();
const shipped = join(import.meta.dirname, '../weights/lenet5.safetensors');

test('the shipped weights are those of the record and fit the model', async () => {
  const { sha256, bytes } = models.lenet5.weights.MNIST!;
  const file = readFileSync(shipped);
  expect(file.length).toBe(bytes);
  expect(file.length).toBeLessThan(260_000);
  const weights = await readWeights(file, { sha256 });
  await using session = await compile(lenet5(), { weights, input: [1, 1, 32, 32] });
  expect((await session.run(new Float32Array(1024))).shape).toEqual([1, 10]);
});

describe.skipIf(!data)('MNIST (skipped where the data is absent)', () => {
  let digits: Dataset;
  beforeAll(async () => {
    const read = (name: string) => readFileSync(join(data!, 'mnist', name));
    digits = await readMnist(read('t10k-images-idx3-ubyte.gz'), read('t10k-labels-idx1-ubyte.gz'));
  });

  /** Computes the logits of all test digits, each centred in 32x32 zeros. */
  async function logitsOf(weights: Weights): Promise<Float32Array> {
    const batch = 500;
    await using session = await compile(lenet5(), { weights, input: [batch, 1, 32, 32] });
    const logits = new Float32Array(digits.size * 10);
    for (let first = 0; first < digits.size; first += batch) {
      const x = new Float32Array(batch * 1024);
      for (let i = 0; i < batch; i++) {
        const { pixels } = digits.at(first + i);
        for (let row = 0; row < 28; row++)
          for (let column = 0; column < 28; column++)
            x[i * 1024 + (row + 2) * 32 + column + 2] = pixels[row * 28 + column]! / 255;
      }
      logits.set((await session.run(x)).data, first * 10);
    }
    return logits;
  }

  const accuracy = (logits: Float32Array): number => {
    let right = 0;
    for (let i = 0; i < digits.size; i++) {
      const row = logits.subarray(i * 10, i * 10 + 10);
      if (row.indexOf(Math.max(...row)) === digits.at(i).label) right++;
    }
    return right / digits.size;
  };

  test('the shipped weights name 99.05 % of the test digits', { timeout: 120_000 }, async () => {
    expect(100 * accuracy(await logitsOf(await readWeights(shipped)))).toBeCloseTo(
      models.lenet5.weights.MNIST!.top1!,
      10,
    );
  });

  test("a published checkpoint gives PyTorch's logits and 98.61 %", { timeout: 120_000 }, async () => {
    const weights = await readWeights(join(data!, 'checkpoints/lenet5_mnist.pth'), { rename: renames.paper });
    // C5 of the checkpoint is a convolution over the whole feature map, with the same values in the same order.
    weights.set('fc1.weight', { shape: [120, 400], data: weights.get('fc1.weight')!.data });
    const logits = await logitsOf(weights);
    const expected = readNpy(readFileSync(join(data!, 'expected/lenet5_mnist_t10k_zero_pad2.logits.npy')));
    expect(expected.shape).toEqual([10_000, 10]);
    const worst = logits.reduce(
      (largest, value, i) => Math.max(largest, Math.abs(value - expected.data[i]!)),
      0,
    );
    expect(worst).toBeLessThan(1e-4);
    expect(accuracy(logits)).toBe(0.9861);
  });
});
