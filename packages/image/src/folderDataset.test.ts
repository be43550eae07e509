/** A folder of pictures as a dataset: sizes, labels, and unreadable pictures. */
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  encodePng,
  folderDataset,
  imageFolder,
  type RgbImage,
  resizeShorter,
  UnreadablePictures,
} from './index.js';

const root = mkdtempSync(join(tmpdir(), 'cnn-folder-'));
const picture: RgbImage = {
  width: 12,
  height: 8,
  data: Uint8Array.from({ length: 288 }, (_, i) => (i * 7) % 256),
};
const file = (...path: string[]) => join(root, ...path);

beforeAll(() => {
  for (const name of ['cats', 'dogs']) {
    mkdirSync(file('good', name), { recursive: true });
    for (const index of [1, 2]) writeFileSync(file('good', name, `${index}.png`), encodePng(picture));
  }
  mkdirSync(file('bad', 'cats'), { recursive: true });
  writeFileSync(file('bad', 'cats', '1.png'), encodePng(picture));
  writeFileSync(file('bad', 'cats', '2.png'), 'no picture');
  mkdirSync(file('worse', 'cats'), { recursive: true });
  writeFileSync(file('worse', 'cats', '1.png'), 'no picture');
});
afterAll(() => rmSync(root, { recursive: true }));

test('pictures are resized, channel by channel, and have the labels of their folders', async () => {
  const seen: number[] = [];
  const dataset = await folderDataset(await imageFolder(file('good')), {
    resize: 4,
    onProgress: ({ loaded }) => seen.push(loaded),
  });
  expect([dataset.size, dataset.classes, seen]).toEqual([4, ['cats', 'dogs'], [1, 2, 3, 4]]);
  expect(dataset.longestSide).toBe(12);
  const { pixels, label, shape } = await dataset.at(2);
  expect([label, shape]).toEqual([1, [3, 4, 6]]);
  const small = resizeShorter(picture, 4);
  expect([...pixels.subarray(24, 48)]).toEqual([...small.data].filter((_, i) => i % 3 === 1));
  expect((await folderDataset(await imageFolder(file('good')), { resize: 4, channels: 1 })).size).toBe(4);
  await expect(dataset.at(4)).rejects.toThrow('There is no example 4; the dataset has 4.');
});

test('pictures beyond maxBytes are decoded on each access, to the same pixels', async () => {
  const folder = await imageFolder(file('good'));
  const [all, none] = [await folderDataset(folder), await folderDataset(folder, { maxBytes: 0 })];
  expect(await none.at(3)).toEqual(await all.at(3));
  expect(await none.at(3)).not.toBe(await none.at(3));
});

test('a picture that has changed since it was first read is refused by name', async () => {
  const path = file('changed', 'cats', '1.png');
  mkdirSync(file('changed', 'cats'), { recursive: true });
  writeFileSync(path, encodePng(picture));
  const dataset = await folderDataset(await imageFolder(file('changed')), { maxBytes: 0 });
  await dataset.at(0);
  writeFileSync(path, encodePng({ ...picture, data: picture.data.map((byte) => 255 - byte) }));
  // Files of one size, which may be written within one tick of the file system's clock.
  utimesSync(path, 1, 1);
  await expect(dataset.at(0)).rejects.toThrow(/cats.1\.png: it has changed since it was first read/);
});

test('options out of range are refused before a picture is blamed', async () => {
  const folder = await imageFolder(file('good'));
  const made = (options: object) => folderDataset(folder, options);
  await expect(made({ resize: Number.NaN })).rejects.toThrow(RangeError);
  await expect(made({ interpolation: 'no' })).rejects.toThrow(RangeError);
  await expect(made({ maxBytes: Number.NaN })).rejects.toThrow("'maxBytes' is NaN; give a number from 0 up.");
  await expect(made({ channels: 2 })).rejects.toThrow("'channels' is 2; give 3 for colours or 1 for grey.");
});

test('pictures are turned by their EXIF orientation with `upright`, as in decodeImage', async () => {
  const png = encodePng(picture);
  // An eXIf chunk after the header: the picture lies on its side.
  const exif = Buffer.from('0000001a655849664d4d002a00000008000101120003000000010006000000000000', 'hex');
  mkdirSync(file('turned', 'cats'), { recursive: true });
  writeFileSync(
    file('turned', 'cats', '1.png'),
    Buffer.concat([png.subarray(0, 33), exif, Buffer.alloc(4), png.subarray(33)]),
  );
  const shapes = [undefined, { upright: true }].map(async (options) => {
    const dataset = await folderDataset(await imageFolder(file('turned'), options), { resize: 8 });
    return (await dataset.at(0)).shape;
  });
  expect(await Promise.all(shapes)).toEqual([
    [3, 8, 12],
    [3, 12, 8],
  ]);
});

test('an abort during a picture is no unreadable picture', async () => {
  const folder = await imageFolder(file('good'));
  const controller = new AbortController();
  const load: typeof folder.load = (entry, signal) => {
    controller.abort();
    return folder.load(entry, signal);
  };
  const reading = folderDataset({ ...folder, load }, { onBadImage: 'skip', signal: controller.signal });
  await expect(reading).rejects.toThrow(/abort/);
});

describe('unreadable pictures', () => {
  test('are an error with their path', async () => {
    const reading = folderDataset(await imageFolder(file('bad')));
    await expect(reading).rejects.toThrow(UnreadablePictures);
    await expect(reading).rejects.toThrow(
      `1 of 2 pictures cannot be read: ${file('bad', 'cats', '2.png')}: Not a readable picture`,
    );
    await expect(reading).rejects.toThrow("leave it out with onBadImage: 'skip'");
  });
  test('are left out and listed with `onBadImage: skip`', async () => {
    const dataset = await folderDataset(await imageFolder(file('bad')), { onBadImage: 'skip' });
    expect(dataset.size).toBe(1);
    expect(dataset.skipped.map(({ path }) => path)).toEqual([file('bad', 'cats', '2.png')]);
    expect(dataset.skipped[0]!.reason).toContain('neither JPEG nor PNG');
  });
  test('are an error if their class has no others', async () => {
    const reading = folderDataset(await imageFolder(file('worse')), { onBadImage: 'skip' });
    await expect(reading).rejects.toThrow(/no picture of the class cats can be read/);
  });
  test('have escaped names in errors', async () => {
    const reading = folderDataset(
      { classes: ['a\nb'], entries: [], load: () => Promise.reject(new Error('none')) },
      { onBadImage: 'skip' },
    );
    await expect(reading).rejects.toThrow('no picture of the class a\\nb can be read');
  });
});
