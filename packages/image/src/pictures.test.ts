/** Pictures from outside: what is understood, and the sentences for what is none. */
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import {
  centerCrop,
  cropped,
  encodePng,
  type ImageLike,
  imagenetPreset,
  resize,
  resizeShorter,
  rgbOf,
  transform,
} from './index.js';

const rgb = { width: 3, height: 2, data: Uint8Array.from({ length: 18 }, (_, i) => 10 * i) };
const rgba = Array.from({ length: 24 }, (_, i) => (i % 4 === 3 ? i : rgb.data[3 * (i >> 2) + (i % 4)]!));

/** Every function that takes a picture. */
const takers: Readonly<Record<string, (image: ImageLike) => unknown>> = {
  rgbOf,
  resize: (image) => resize(image, 5, 4),
  resizeShorter: (image) => resizeShorter(image, 4),
  centerCrop: (image) => centerCrop(image, 2),
  cropped: (image) => cropped(image, imagenetPreset),
  transform: (image) => transform(image, imagenetPreset),
  encodePng,
};

/** The result as text, since comparing long arrays value by value is slow. */
const textOf = (result: unknown): string =>
  JSON.stringify(result, (_, value: unknown) =>
    ArrayBuffer.isView(value) ? (value as Uint8Array).join() : value,
  );

test.each(Object.entries(takers))('%s takes ImageData, and bytes of another realm', (_, take) => {
  const expected = textOf(take(rgb));
  expect(textOf(take({ width: 3, height: 2, data: Uint8Array.from(rgba) }))).toBe(expected);
  expect(textOf(take({ width: 3, height: 2, data: Uint8ClampedArray.from(rgba) }))).toBe(expected);
  const foreign = runInNewContext(`Uint8Array.from([${rgb.data.join()}])`) as Uint8Array;
  expect(textOf(take({ ...rgb, data: foreign }))).toBe(expected);
});

test('grey bytes become red, green and blue', () => {
  expect([...rgbOf({ width: 2, height: 1, data: Uint8Array.of(7, 9) }).data]).toEqual([7, 7, 7, 9, 9, 9]);
});

const none: readonly (readonly [string, unknown, string])[] = [
  [
    'short data',
    { ...rgb, data: rgb.data.subarray(1) },
    'A picture of 3 x 2 pixels has 18 bytes (RGB), 24 (RGBA) or 6 (grey), got 17.',
  ],
  ['no data', { ...rgb, data: new Uint8Array(0) }, 'or 6 (grey), got 0.'],
  ['floats', { ...rgb, data: new Float32Array(18) }, 'Uint8ClampedArray, got a Float32Array of 18 values.'],
  ['a list', { ...rgb, data: [...rgb.data] }, 'Uint8ClampedArray, got an Array of 18 values.'],
  ['missing data', { width: 3, height: 2 }, 'Uint8ClampedArray, got undefined.'],
  ['a width of NaN', { ...rgb, width: Number.NaN }, 'whole numbers from 1 up, got NaN x 2.'],
  ['a width of 0', { width: 0, height: 2, data: new Uint8Array(0) }, 'got 0 x 2.'],
  ['half a row', { ...rgb, height: 1.5 }, 'got 3 x 1.5.'],
  ['a file', 'cat.jpg', 'A picture is { width, height, data }, got a value of type String.'],
  ['nothing', undefined, 'A picture is { width, height, data }, got undefined.'],
];
for (const [name, take] of Object.entries(takers))
  test.each(none)(`${name} refuses %s`, (_, image, message) => {
    expect(() => take(image as ImageLike)).toThrow(message);
  });

test('sizes and presets that give no picture are refused', () => {
  for (const size of [0, -1, 2.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => resize(rgb, size, 2)).toThrow(`resized to ${size} x 2 pixels; give whole numbers from 1 up`);
    expect(() => resizeShorter(rgb, size)).toThrow(`a shorter side of ${size} pixels`);
    expect(() => centerCrop(rgb, size)).toThrow(`cropped to ${size} pixels`);
  }
  expect(() => centerCrop(rgb, 2_000_000_000)).toThrow('over the limit of 100000000');
  const wrong = (change: object) => () => transform(rgb, { ...imagenetPreset, ...change });
  expect(wrong({ std: [0, 0, 0] })).toThrow(
    'deviations are above 0, got [0.485, 0.456, 0.406] and [0, 0, 0]',
  );
  expect(wrong({ mean: [0, 0, Number.NaN] })).toThrow('means of a preset are numbers');
  expect(wrong({ mean: [0, 0], std: [1, 1] })).toThrow('1 or 3 means (grey or RGB)');
  expect(wrong({ std: [1] })).toThrow('got 3 and 1');
  expect(wrong({ interpolation: 'lanczos' })).toThrow(
    "no interpolation 'lanczos'; choose one of bilinear, bicubic",
  );
  expect(wrong({ crop: 2_000_000_000 })).toThrow('over the limit');
});

test('a crop larger than the picture has black edges, as torchvision pads', () => {
  const grey = Uint8Array.of(1, 2, 3, 4, 5, 6);
  const rows = ({ width, data }: { width: number; data: Uint8Array }) =>
    Array.from({ length: data.length / 3 / width }, (_, row) =>
      Array.from({ length: width }, (__, column) => data[3 * (row * width + column)]!).join(''),
    );
  expect(rows(centerCrop({ width: 3, height: 2, data: grey }, 4))).toEqual(['0000', '1230', '4560', '0000']);
  // Half a pixel is rounded to the even one: the first column, not the second.
  expect(rows(centerCrop({ width: 3, height: 2, data: grey }, 2))).toEqual(['12', '45']);
});

test('a row of two million pixels is resized to one within a second', () => {
  const data = new Uint8Array(6_000_000).fill(90);
  const started = performance.now();
  expect([...resize({ width: 2_000_000, height: 1, data }, 1, 1).data]).toHaveLength(3);
  expect(performance.now() - started).toBeLessThan(1000);
});
