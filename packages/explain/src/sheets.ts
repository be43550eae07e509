/** Draws filters and feature maps as a sheet: a grid of small pictures. */
import { ShapeError, sizeOf, type Tensor } from '@cnn/core';
import { formatShape } from '@cnn/core/graph';
import { defaultImageLimits, type RgbImage } from '@cnn/image';
import { byteOf } from './colours.js';

/** Layout of a sheet. */
export interface SheetOptions {
  /** Pictures in a row. Default: a number that makes the sheet about square. */
  readonly columns?: number;
  /** Width and height of a value in pixels. Default: the smallest for pictures at least 32 pixels wide. */
  readonly zoom?: number;
}

/** One picture of a sheet; `at` returns a colour channel from 0 to 1. */
interface Tile {
  readonly width: number;
  readonly height: number;
  readonly at: (row: number, column: number, channel: number) => number;
}

/** Pixels between pictures. */
const GAP = 2;
/** Grey value of the gaps: white. */
const PAPER = 255;

function layOut(tiles: readonly Tile[], options: SheetOptions): RgbImage {
  const [{ width, height }] = tiles as [Tile];
  const { columns = Math.ceil(Math.sqrt((tiles.length * height) / width)) } = options;
  const { zoom = Math.ceil(32 / width) } = options;
  for (const [name, value] of Object.entries({ columns, zoom }))
    if (!Number.isInteger(value) || value < 1)
      throw new RangeError(`${name} must be a whole number from 1 up, got ${value}.`);
  const across = Math.min(columns, tiles.length);
  const rows = Math.ceil(tiles.length / across);
  const [stepX, stepY] = [width * zoom + GAP, height * zoom + GAP];
  const sheet = { width: across * stepX + GAP, height: rows * stepY + GAP };
  const { maxPixels } = defaultImageLimits;
  if (sheet.width * sheet.height > maxPixels)
    throw new RangeError(
      `A sheet of ${tiles.length} pictures of ${width} x ${height} values takes ${sheet.width} x ${sheet.height} pixels with a zoom of ${zoom}, over the limit of ${maxPixels}; choose a smaller zoom.`,
    );
  const data = new Uint8Array(3 * sheet.width * sheet.height).fill(PAPER);
  for (const [index, tile] of tiles.entries()) {
    const left = GAP + (index % across) * stepX;
    const top = GAP + Math.floor(index / across) * stepY;
    for (let y = 0; y < height * zoom; y++)
      for (let x = 0; x < width * zoom; x++)
        for (let channel = 0; channel < 3; channel++)
          data[3 * ((top + y) * sheet.width + left + x) + channel] = byteOf(
            tile.at(Math.floor(y / zoom), Math.floor(x / zoom), channel),
          );
  }
  return { ...sheet, data };
}

/** Throws ShapeError unless a tensor has as many values as its shape says. */
function checkValues({ shape, data }: Tensor): void {
  if (data.length !== sizeOf(shape))
    throw new ShapeError(`${formatShape(shape)} are ${sizeOf(shape)} values, got ${data.length}.`);
}

/** Returns a function that maps the range of `values` to 0 ... 1; to 0.5 if all are equal. */
function stretch(values: Float32Array): (value: number) => number {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return high > low ? (value) => (value - low) / (high - low) : () => 0.5;
}

/**
 * Draws the filters of a convolution, each scaled to the full range of brightness: in colour for three input
 * channels, else in grey, by the mean over the input channels.
 * @param weight - out x in x kh x kw.
 * @throws ShapeError if it is not the weight of a convolution.
 */
export function filterSheet(weight: Tensor, options: SheetOptions = {}): RgbImage {
  const [out, channels, height, width] = weight.shape;
  if (weight.shape.length !== 4 || !out || !channels || !height || !width)
    throw new ShapeError(
      `A filter sheet needs the weight of a convolution, out x in x kh x kw; got ${formatShape(weight.shape)}.`,
    );
  checkValues(weight);
  const plane = height * width;
  const tiles = Array.from({ length: out }, (_, index): Tile => {
    const filter = weight.data.subarray(index * channels * plane, (index + 1) * channels * plane);
    const values = channels === 3 ? filter : meanOverChannels(filter, channels, plane);
    const stretched = stretch(values);
    return {
      width,
      height,
      at: (row, column, channel) =>
        stretched(values[(channels === 3 ? channel * plane : 0) + row * width + column]!),
    };
  });
  return layOut(tiles, options);
}

function meanOverChannels(filter: Float32Array, channels: number, plane: number): Float32Array {
  const mean = new Float32Array(plane);
  for (let i = 0; i < filter.length; i++) mean[i % plane]! += filter[i]! / channels;
  return mean;
}

/**
 * Draws the feature maps of a layer, one picture for each channel, each scaled to the full range of brightness.
 * @param features - a module's output for one picture, 1 x c x h x w: see `outputs` of `compile`.
 * @throws ShapeError if its shape is not 1 x c x h x w.
 */
export function featureSheet(features: Tensor, options: SheetOptions = {}): RgbImage {
  const [batch, channels, height, width] = features.shape;
  if (features.shape.length !== 4 || batch !== 1 || !channels || !height || !width)
    throw new ShapeError(
      `A feature sheet needs a layer's output for one picture, 1 x c x h x w; got ${formatShape(features.shape)}.`,
    );
  checkValues(features);
  const tiles = Array.from({ length: channels }, (_, channel): Tile => {
    const values = features.data.subarray(channel * height * width, (channel + 1) * height * width);
    const stretched = stretch(values);
    return { width, height, at: (row, column) => stretched(values[row * width + column]!) };
  });
  return layOut(tiles, options);
}
