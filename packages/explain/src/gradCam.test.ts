/** Grad-CAM against central differences, and against class activation maps for networks where both are equal. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  batchNorm,
  compile,
  conv2d,
  flatten,
  globalAvgPool,
  initialise,
  leakyRelu,
  linear,
  maxPool,
  module,
  pipe,
  readWeights,
  referenceBackend,
  relu,
  tensor,
  type Weights,
} from '@cnn/core';
import { decodeImage, imagenetPreset, transform } from '@cnn/image';
import { mobilenetV1, renames } from '@cnn/mobilenet';
import { realData } from '@cnn/testing';
import { describe, expect, test } from 'vitest';
import { gradCam } from './index.js';

const trunk = () =>
  module({ conv: conv2d(2, 4, 3, { padding: 1 }), bn: batchNorm(4) }, (m, x) => pipe(x, m.conv, m.bn, relu));
const head = () =>
  module({ conv: conv2d(4, 5, 3), fc: linear(5 * 4, 3) }, (m, x) =>
    pipe(x, m.conv, relu, maxPool(2), flatten, m.fc),
  );
const whole = () => module({ trunk: trunk(), head: head() }, (m, x) => pipe(x, m.trunk, m.head));

const input = [1, 2, 6, 6];
const picture = tensor(
  Float32Array.from({ length: 72 }, (_, i) => Math.sin(1.7 * i)),
  input,
);
const part = (weights: Weights, prefix: string): Weights =>
  new Map(
    [...weights].flatMap(([name, value]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), value] as const] : [],
    ),
  );

describe('gradCam', () => {
  test('weights channels by the gradient of the class, as central differences give it', async () => {
    const weights = initialise(whole(), { seed: 3 });
    const exact = referenceBackend();
    await using first = await compile(trunk(), { weights: part(weights, 'trunk.'), input, backend: exact });
    await using second = await compile(head(), {
      weights: part(weights, 'head.'),
      input: [1, 4, 6, 6],
      backend: exact,
    });
    const features = await first.run(picture);
    await using cam = await gradCam(whole(), { weights, input, layer: 'trunk', backend: exact });
    for (const classIndex of [0, 1, 2]) {
      const step = 1e-3;
      const logitAt = async (index: number, by: number): Promise<number> => {
        const moved = features.data.slice();
        moved[index]! += by;
        return (await second.run(moved)).data[classIndex]!;
      };
      const importance = [0, 0, 0, 0];
      for (let i = 0; i < features.data.length; i++)
        importance[Math.floor(i / 36)]! +=
          ((await logitAt(i, step)) - (await logitAt(i, -step))) / (2 * step) / 36;
      const raw = Array.from({ length: 36 }, (_, at) =>
        Math.max(
          0,
          importance.reduce((sum, weight, channel) => sum + weight * features.data[channel * 36 + at]!, 0),
        ),
      );
      const peak = Math.max(...raw);
      const { map } = await cam.explain(picture, { classIndex });
      expect(map.shape).toEqual([6, 6]);
      for (const [at, value] of raw.entries()) expect(map.data[at]).toBeCloseTo(value / peak, 3);
    }
  });

  test('is the class activation map of a network that ends in pooling and one linear layer', async () => {
    const model = module({ trunk: trunk(), fc: linear(4, 3) }, (m, x) =>
      pipe(x, m.trunk, globalAvgPool, m.fc),
    );
    const weights = initialise(model, { seed: 5 });
    await using session = await compile(model, { weights, input, outputs: ['trunk'] });
    const features = (await session.runAll(picture)).get('trunk')!;
    await using cam = await gradCam(model, { weights, input });
    expect(cam.layer).toBe('trunk');
    const { map, classIndex, logits } = await cam.explain(picture);
    expect(classIndex).toBe(logits.data.indexOf(Math.max(...logits.data)));
    const fc = weights.get('fc.weight')!.data;
    const raw = Array.from({ length: 36 }, (_, at) =>
      Math.max(
        0,
        [0, 1, 2, 3].reduce((sum, c) => sum + fc[4 * classIndex + c]! * features.data[36 * c + at]!, 0),
      ),
    );
    const peak = Math.max(...raw);
    for (const [at, value] of raw.entries()) expect(map.data[at]).toBeCloseTo(value / peak, 5);
  });

  test('a layer keeps its value if the batch norm after it is another module', async () => {
    const weights = initialise(whole(), { seed: 3 });
    for (const [name, { data }] of weights) if (name.startsWith('trunk.bn')) data.fill(0.3);
    await using before = await gradCam(whole(), { weights, input, layer: 'trunk.conv' });
    await using after = await gradCam(whole(), { weights, input, layer: 'trunk.bn' });
    const [one, two] = [
      await before.explain(picture, { classIndex: 1 }),
      await after.explain(picture, { classIndex: 1 }),
    ];
    expect(one.logits.data[1]).toBeCloseTo(two.logits.data[1]!, 5);
    expect(one.map.data).not.toEqual(two.map.data);
  });

  test('errors name the mistake and the valid choices', async () => {
    const weights = initialise(whole(), { seed: 1 });
    const making = (layer: string, shape = input) =>
      gradCam(whole(), { weights, input: shape, layer, name: 'net' });
    await expect(making('trunk.relu')).rejects.toThrow(
      "net: there is no module at 'trunk.relu'; choose one of trunk.conv, trunk.bn, trunk, head.conv.",
    );
    await expect(making('head.fc')).rejects.toThrow("the output of 'head.fc', 1x3, is not a feature map");
    await expect(making('trunk', [2, 2, 6, 6])).rejects.toThrow('explains one picture at a time');
    await expect(gradCam(whole(), { weights: new Map(), input })).rejects.toThrow('trunk.conv.weight');
    await using cam = await making('trunk');
    await expect(cam.explain(picture, { classIndex: 3 })).rejects.toThrow(
      'no class 3; the model has classes 0 to 2',
    );
    await expect(cam.explain(tensor([1], [1]))).rejects.toThrow('compiled for an input of 1x2x6x6, got 1');
    const reason = new Error('enough');
    await expect(cam.explain(picture, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect((await cam.explain(picture)).logits.shape).toEqual([1, 3]);
  });

  test('without evidence for a class the map is zero', async () => {
    const weights = initialise(whole(), { seed: 3 });
    weights.get('head.fc.weight')!.data.fill(0);
    await using cam = await gradCam(whole(), { weights, input });
    expect(Math.max(...(await cam.explain(picture)).map.data)).toBe(0);
  });

  const data = realData();
  test.skipIf(!data)('looks at the animal in a photo (skipped where the data is absent)', async () => {
    const model = mobilenetV1({ width: 0.25, activation: leakyRelu(0.1) });
    const weights = await readWeights(join(data!, 'checkpoints/mobilenetv1_025_imagenet.tar'), {
      rename: renames.stages,
    });
    const image = await decodeImage(await readFile(join(data!, 'photos/n01440764_tench.JPEG')));
    await using cam = await gradCam(model, { weights, input: [1, 3, 224, 224] });
    const { map, classIndex } = await cam.explain(transform(image, imagenetPreset));
    expect(classIndex).toBe(0);
    expect(map.shape).toEqual([7, 7]);
    expect(Math.max(...map.data)).toBe(1);
    // The fish lies across the middle of the picture.
    const rows = Array.from({ length: 7 }, (_, row) =>
      map.data.subarray(7 * row, 7 * row + 7).reduce((sum, value) => sum + value, 0),
    );
    const total = rows.reduce((sum, value) => sum + value, 0);
    expect((rows[2]! + rows[3]! + rows[4]! + rows[5]!) / total).toBeGreaterThan(0.8);
  });
});
