/**
 * Checks that initial weights have torchvision's distributions. For parameters of each kind, the golden file
 * has the root mean square of values drawn by torchvision 0.14.1, and for large ones the distribution
 * (uniform or normal).
 */
import { readFileSync } from 'node:fs';
import { type Module, parameters } from '@cnn/core';
import { random } from '@cnn/core/graph';
import { describe, expect, test } from 'vitest';

const goldens = JSON.parse(
  readFileSync(new URL('../goldens/initial.json', import.meta.url), 'utf8'),
) as Readonly<Record<string, Readonly<Record<string, number | readonly [number, 'uniform' | 'normal']>>>>;

/** Models by golden file, with the same number of classes as in the file. */
const builders: Readonly<Record<string, () => Promise<Module>>> = {
  alexnet: async () => (await import('@cnn/alexnet')).alexnet({ numClasses: 10 }),
  vgg11_bn: async () => (await import('@cnn/vgg')).vgg11Bn({ numClasses: 10 }),
  googlenet: async () => (await import('@cnn/googlenet')).googlenet({ auxLogits: true, numClasses: 100 }),
  resnet18: async () => (await import('@cnn/resnet')).resnet18(),
  resnext50_32x4d: async () => (await import('@cnn/resnet')).resnext50_32x4d(),
  densenet121: async () => (await import('@cnn/densenet')).densenet121(),
  efficientnet_b0: async () => (await import('@cnn/efficientnet')).efficientnetB0(),
  mobilenet_v2: async () => (await import('@cnn/mobilenet')).mobilenetV2(),
  mobilenet_v3_small: async () => (await import('@cnn/mobilenet')).mobilenetV3Small(),
  shufflenet_v2_x0_5: async () => (await import('@cnn/shufflenet')).shufflenetV2X0_5(),
};

const rootMeanSquare = (values: Float32Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);

describe.each(Object.entries(goldens))('%s', (name, golden) => {
  test("has torchvision's initial values", async () => {
    const all = new Map(parameters(await builders[name]!()));
    for (const [path, stated] of Object.entries(golden)) {
      const [expected, kind] = typeof stated === 'number' ? [stated] : stated;
      const { shape, initialise } = all.get(path)!;
      const values = initialise(shape, random(7));
      const found = rootMeanSquare(values);
      // Constants are equal. Drawn values are samples on both sides; their deviation decreases with their
      // number.
      if (expected === 0 || expected === 1) expect(found, path).toBe(expected);
      else expect(Math.abs(found / expected - 1), path).toBeLessThan(0.01 + 5 / Math.sqrt(values.length));
      if (!kind) continue;
      const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(largest / found < 1.78 ? 'uniform' : 'normal', path).toBe(kind);
    }
  });
});
