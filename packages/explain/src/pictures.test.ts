/** Pixels of heat maps and sheets. */
import { tensor } from '@cnn/core';
import { expect, test } from 'vitest';
import { featureSheet, filterSheet, heatColour, overlay } from './index.js';

const pixel = ({ width, data }: { width: number; data: Uint8Array }, row: number, column: number) => [
  ...data.subarray(3 * (row * width + column), 3 * (row * width + column) + 3),
];

test('colours go from blue over green to red, and values out of range are clamped', () => {
  const [cold, middle, hot] = [0.15, 0.5, 0.9].map((value) => [...heatColour(value)]) as [
    number[],
    number[],
    number[],
  ];
  expect(cold.indexOf(Math.max(...cold))).toBe(2);
  expect(middle.indexOf(Math.max(...middle))).toBe(1);
  expect(hot.indexOf(Math.max(...hot))).toBe(0);
  expect([heatColour(-3), heatColour(Number.NaN), heatColour(7)]).toEqual([
    heatColour(0),
    heatColour(0),
    heatColour(1),
  ]);
});

test('an overlay is the picture at opacity 0 and the heat map at opacity 1', () => {
  const picture = { width: 8, height: 6, data: Uint8Array.from({ length: 144 }, (_, i) => i) };
  const map = tensor([0, 0, 0, 1], [2, 2]);
  expect(overlay(picture, map, 0)).toEqual(picture);
  const whole = overlay(picture, map, 1);
  expect(pixel(whole, 5, 7)).toEqual([...heatColour(1)]);
  expect(pixel(whole, 0, 0)).toEqual([...heatColour(0)]);
  const half = overlay(picture, map);
  expect(pixel(half, 5, 7)).toEqual(heatColour(1).map((byte, i) => Math.round((byte + 141 + i) / 2)));
});

test('an overlay takes ImageData, and refuses what is no picture', () => {
  const map = tensor([0, 1], [1, 2]);
  const picture = { width: 2, height: 1, data: Uint8Array.of(1, 2, 3, 4, 5, 6) };
  const canvas = { width: 2, height: 1, data: Uint8ClampedArray.of(1, 2, 3, 255, 4, 5, 6, 255) };
  expect(overlay(canvas, map)).toEqual(overlay(picture, map));
  expect(() => overlay({ ...picture, data: new Uint8Array(5) }, map)).toThrow(
    '2 x 1 pixels has 6 bytes (RGB), 8 (RGBA) or 2 (grey), got 5',
  );
  expect(() => overlay(picture, { shape: [1, 2], data: new Float32Array(1) })).toThrow(
    'of 1x2 has 2 values, got 1',
  );
});

test('sheets of wrong data and of more pixels than the limit are refused', () => {
  expect(() => filterSheet({ shape: [1, 1, 2, 2], data: new Float32Array(3) })).toThrow('4 values, got 3');
  expect(() => featureSheet({ shape: [1, 1, 2, 2], data: new Float32Array(3) })).toThrow('4 values, got 3');
  expect(() => filterSheet(tensor([1, 2], [2, 1, 1, 1]), { zoom: 1e6 })).toThrow('choose a smaller zoom');
});

test('a sheet has every filter once, enlarged, with gaps between', () => {
  const sheet = filterSheet(tensor([0, 1, 2, 3, 9, 6, 3, 0, 5, 5, 5, 5], [3, 1, 2, 2]), {
    columns: 2,
    zoom: 3,
  });
  expect([sheet.width, sheet.height]).toEqual([2 * (6 + 2) + 2, 2 * (6 + 2) + 2]);
  expect(pixel(sheet, 2, 2)).toEqual([0, 0, 0]);
  expect(pixel(sheet, 7, 7)).toEqual([255, 255, 255]);
  expect(pixel(sheet, 2, 10)).toEqual([255, 255, 255]);
  expect(pixel(sheet, 2, 13)).toEqual([170, 170, 170]);
  expect(pixel(sheet, 10, 2)).toEqual([128, 128, 128]);
  expect(pixel(sheet, 0, 0)).toEqual([255, 255, 255]);
});

test('filters over three channels are in colour', () => {
  const sheet = filterSheet(tensor([1, 0, -1], [1, 3, 1, 1]), { zoom: 1 });
  expect(pixel(sheet, 2, 2)).toEqual([255, 128, 0]);
});

test('feature maps are scaled one by one', () => {
  const sheet = featureSheet(tensor([0, 10, 5, 10, 1, 2, 3, 4], [1, 2, 2, 2]), { columns: 2, zoom: 1 });
  expect(pixel(sheet, 2, 3)).toEqual([255, 255, 255]);
  expect(pixel(sheet, 3, 2)).toEqual([128, 128, 128]);
  expect(pixel(sheet, 3, 7)).toEqual([255, 255, 255]);
});

test('wrong shapes and options are refused', () => {
  expect(() => filterSheet(tensor([1, 2], [1, 2]))).toThrow('out x in x kh x kw; got 1x2');
  expect(() => featureSheet(tensor([1, 2], [2, 1, 1, 1]))).toThrow('1 x c x h x w; got 2x1x1x1');
  expect(() => overlay({ width: 1, height: 1, data: new Uint8Array(3) }, tensor([1], [1]))).toThrow(
    'h x w, got 1',
  );
  expect(() => overlay({ width: 1, height: 1, data: new Uint8Array(3) }, tensor([1], [1, 1]), 2)).toThrow(
    'got 2',
  );
  expect(() => filterSheet(tensor([1], [1, 1, 1, 1]), { zoom: 0.5 })).toThrow(
    'zoom must be a whole number from 1 up',
  );
});
