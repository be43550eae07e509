/** From numbers to colours: heat maps, and heat maps over pictures. */
import { formatShape, ShapeError, type Tensor } from '@cnn/core';
import { type RgbImage, resize } from '@cnn/image';
import { interpolateTurbo } from 'd3-scale-chromatic';

/** Red, green and blue of 256 steps of Google's Turbo map, from cold to hot. */
let table: Uint8Array | undefined;

function turbo(): Uint8Array {
  table ??= Uint8Array.from(
    Array.from({ length: 256 }, (_, step) =>
      interpolateTurbo(step / 255)
        .match(/\d+/g)!
        .map(Number),
    ).flat(),
  );
  return table;
}

/** The colour of a value from 0 (cold, dark blue) to 1 (hot, dark red) on the Turbo map, as three bytes. */
export function heatColour(value: number): readonly [red: number, green: number, blue: number] {
  const at = 3 * byteOf(value);
  const colours = turbo();
  return [colours[at]!, colours[at + 1]!, colours[at + 2]!];
}

/** A value from 0 to 1 as a byte; what is no number is 0. */
export const byteOf = (value: number): number => Math.round(255 * Math.min(1, Math.max(0, value || 0)));

/**
 * Lays a heat map over a picture.
 * @param picture - what the model saw: resized and cropped, see `cropped` of @cnn/image.
 * @param map - h x w values from 0 to 1, stretched over the picture smoothly.
 * @param opacity - how much of the map is seen, from 0 to 1. Default 0.5.
 * @throws ShapeError when the map is not h x w.
 */
export function overlay(picture: RgbImage, map: Tensor, opacity = 0.5): RgbImage {
  const [height, width] = map.shape;
  if (map.shape.length !== 2 || !height || !width)
    throw new ShapeError(`A heat map has the shape h x w, got ${formatShape(map.shape)}.`);
  if (!(opacity >= 0 && opacity <= 1))
    throw new RangeError(`The opacity is a number from 0 to 1, got ${opacity}.`);
  const bytes = Uint8Array.from({ length: 3 * map.data.length }, (_, i) =>
    byteOf(map.data[Math.floor(i / 3)]!),
  );
  const heat = resize({ width, height, data: bytes }, picture.width, picture.height, 'bicubic').data;
  const colours = turbo();
  const data = picture.data.map((byte, i) =>
    Math.round((1 - opacity) * byte + opacity * colours[3 * heat[i]! + (i % 3)]!),
  );
  return { width: picture.width, height: picture.height, data };
}
