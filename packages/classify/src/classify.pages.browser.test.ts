/** Tests a classifier in a page, with the pictures that only pages have, against the same pixels. */
import {
  conv2d,
  flatten,
  globalAvgPool,
  initialise,
  linear,
  type ModelEntry,
  named,
  writeSafetensors,
} from '@cnn/core';
import { encodePng, type PictureSource } from '@cnn/image';
import { models } from '@cnn/lenet';
import { expect, test } from 'vitest';
import { classifier } from './index.js';

const build = () =>
  named({
    conv: conv2d(3, 8, 3),
    pool: (x) => flatten(globalAvgPool(x)),
    fc: linear(8, 4),
  });

const entry: ModelEntry = {
  name: 'tiny',
  build,
  input: [1, 3, 24, 24],
  minimum: 3,
  parameters: 260,
  macs: 1,
  paper: { title: '', authors: '', year: 2026, url: '' },
  weights: {},
};

const picture = {
  width: 40,
  height: 30,
  data: Uint8Array.from({ length: 3600 }, (_, i) => (i * 7 + (i >> 4)) % 256),
};

/** The picture as a canvas has it. */
function imageData(): ImageData {
  const result = new ImageData(40, 30);
  for (let i = 0; i < 1200; i++) result.data.set([...picture.data.subarray(3 * i, 3 * i + 3), 255], 4 * i);
  return result;
}

function canvas(): OffscreenCanvas {
  const result = new OffscreenCanvas(40, 30);
  result.getContext('2d')!.putImageData(imageData(), 0, 0);
  return result;
}

test('a picture has the same classes in every form, one by one and together', async () => {
  const file = new Blob([Uint8Array.from(writeSafetensors(initialise(build(), { seed: 1 })))]);
  const labels = URL.createObjectURL(new Blob(['a\nb\nc\nd']));
  await using classify = await classifier(entry, {
    weights: URL.createObjectURL(file),
    labels,
    transform: { resize: 28, crop: 24 },
    backend: 'wasm',
    threads: 2,
  });
  const expected = await classify(picture);
  expect(expected.map(({ label }) => label).sort()).toEqual(['a', 'b', 'c', 'd']);
  const png = new Blob([Uint8Array.from(encodePng(picture))], { type: 'image/png' });
  const image = Object.assign(new Image(), { src: URL.createObjectURL(png) });
  const sources: PictureSource[] = [
    imageData(),
    canvas(),
    await createImageBitmap(imageData()),
    new VideoFrame(canvas(), { timestamp: 0 }),
    png,
    image.src,
    image,
  ];
  for (const source of sources) expect(await classify(source)).toEqual(expected);
  let count = 0;
  for await (const { source, classes } of classify.many(sources, { batch: 3, concurrency: 2 })) {
    expect(source).toBe(sources[count++]);
    expect(classes).toEqual(expected);
  }
  expect(count).toBe(sources.length);
});

test('a page gets a sentence where weights cannot be had', async () => {
  await expect(classifier(models.lenet5)).rejects.toMatchObject({
    code: 'ERR_NO_WEIGHTS',
    message: expect.stringContaining('Copy it from node_modules to your site, and give its address'),
  });
  const record = { ...models.lenet5.weights.MNIST!, url: 'http://localhost:1/weights.pth' };
  await expect(classifier({ ...models.lenet5, weights: { MNIST: record } })).rejects.toMatchObject({
    code: 'ERR_NO_WEIGHTS',
    message: expect.stringContaining('Give them with the option weights'),
  });
});
