/** Maps numbers to colours, for heat maps over pictures. */
import { ShapeError, type Tensor } from '@cnn/core';
import { formatShape } from '@cnn/core/graph';
import { type ImageLike, type RgbImage, resize, rgbOf } from '@cnn/image';
import { interpolateTurbo } from 'd3-scale-chromatic';

/** Red, green and blue bytes of 256 steps of Google's Turbo colour map, from cold to hot. Built on first use. */
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

/** Returns the colour of a value from 0 (cold, dark blue) to 1 (hot, dark red) on the Turbo map, as three bytes. */
export function heatColour(value: number): readonly [red: number, green: number, blue: number] {
  const at = 3 * byteOf(value);
  const colours = turbo();
  return [colours[at]!, colours[at + 1]!, colours[at + 2]!];
}

/** Converts a value from 0 to 1 to a byte; larger and smaller values are clamped, NaN is 0. */
export const byteOf = (value: number): number => Math.round(255 * Math.min(1, Math.max(0, value || 0)));

/**
 * Lays a heat map over a picture.
 * @param picture - the model's input, resized and cropped: see `cropped` of @cnn/image.
 * @param map - h x w values from 0 to 1, resized to the picture by bicubic interpolation.
 * @param opacity - of the map, from 0 to 1. Default 0.5.
 * @throws ShapeError if the map is not h x w.
 * @throws TypeError and RangeError for a value that is not a picture: see `rgbOf` of @cnn/image.
 * @throws RangeError if the opacity is not from 0 to 1.
 */
export function overlay(picture: ImageLike, map: Tensor, opacity = 0.5): RgbImage {
  const below = rgbOf(picture);
  const [height, width] = map.shape;
  if (map.shape.length !== 2 || !height || !width)
    throw new ShapeError(`A heat map has the shape h x w, got ${formatShape(map.shape)}.`);
  if (map.data.length !== height * width)
    throw new ShapeError(
      `A heat map of ${formatShape(map.shape)} has ${height * width} values, got ${map.data.length}.`,
    );
  if (!(opacity >= 0 && opacity <= 1))
    throw new RangeError(`The opacity is a number from 0 to 1, got ${opacity}.`);
  const bytes = Uint8Array.from(map.data, byteOf);
  const heat = resize({ width, height, data: bytes }, below.width, below.height, 'bicubic').data;
  const colours = turbo();
  const data = below.data.map((byte, i) =>
    Math.round((1 - opacity) * byte + opacity * colours[3 * heat[i]! + (i % 3)]!),
  );
  return { width: below.width, height: below.height, data };
}
