/** The type of a decoded picture, and the check that every picture from outside passes: rows of bytes of known size. */
import { kindOf } from '@cnn/core/io';

/** A picture with 8 bits per channel, three interleaved channels, and rows from top to bottom. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  /** `3 * width * height` bytes: r, g, b of the first pixel, then of the second, ... */
  readonly data: Uint8Array;
}

/**
 * A picture as others give it: an {@link RgbImage}, a canvas's `ImageData` (r, g, b, alpha), or grey bytes. The number
 * of bytes tells which: 3, 4 or 1 for each pixel.
 */
export interface ImageLike {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** Bounds on a picture, checked from its header before it is decoded. */
export interface ImageLimits {
  /** Default 100 million: 300 MB of bytes. */
  readonly maxPixels: number;
}

/** The default bounds. */
export const defaultImageLimits: ImageLimits = { maxPixels: 100_000_000 };

/**
 * Fills in the default of a limit that is left out or undefined. `Infinity` is no bound.
 * @throws TypeError for a limit that is no number from 0 up: every comparison with NaN is false, so that the limit
 * would be off.
 */
export function resolveImageLimits(limits?: Partial<ImageLimits>): ImageLimits {
  const { maxPixels = defaultImageLimits.maxPixels } = limits ?? {};
  if (typeof maxPixels !== 'number' || !(maxPixels >= 0))
    throw new TypeError(
      `The limit maxPixels is a number of pixels from 0 up, got ${typeof maxPixels === 'string' ? `the text '${maxPixels}'` : String(maxPixels)}.`,
    );
  return { maxPixels };
}

const describe = (value: unknown): string =>
  ArrayBuffer.isView(value) || Array.isArray(value)
    ? `${kindOf(value) === 'Array' ? 'an' : 'a'} ${kindOf(value)} of ${(value as ArrayLike<unknown>).length ?? '?'} values`
    : value === null || value === undefined
      ? String(value)
      : `a value of type ${kindOf(value)}`;

/** True if a value is a width or height: a whole number from 1 up. */
const isExtent = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;

/**
 * Checks a picture and returns it as red, green and blue bytes. Alpha is dropped, as Pillow's `convert('RGB')` does; the
 * bytes of an RGB picture are not copied.
 * @throws TypeError for a value that is no picture, or whose data are no bytes.
 * @throws RangeError for a size that is not at least 1 x 1, and for data of another length.
 * @example
 * const picture = rgbOf({ width: 2, height: 1, data: Uint8Array.of(255, 0, 0, 255, 0, 0, 255, 255) });
 */
export function rgbOf(image: ImageLike): RgbImage {
  if (typeof image !== 'object' || image === null)
    throw new TypeError(
      `A picture is { width, height, data }, got ${describe(image)}. Decode a file with decodeImage first.`,
    );
  const { width, height, data } = image;
  if (!isExtent(width) || !isExtent(height))
    throw new RangeError(
      `A picture has a width and a height of whole numbers from 1 up, got ${String(width)} x ${String(height)}.`,
    );
  const type = kindOf(data);
  if (type !== 'Uint8Array' && type !== 'Uint8ClampedArray')
    throw new TypeError(
      `The data of a picture are bytes from 0 to 255 in a Uint8Array or Uint8ClampedArray, got ${describe(data)}.`,
    );
  const pixels = width * height;
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data.buffer, data.byteOffset, data.length);
  if (bytes.length === 3 * pixels) return { width, height, data: bytes };
  if (bytes.length !== pixels && bytes.length !== 4 * pixels)
    throw new RangeError(
      `A picture of ${width} x ${height} pixels has ${3 * pixels} bytes (RGB), ${4 * pixels} (RGBA) or ${pixels} (grey), got ${bytes.length}.`,
    );
  const step = bytes.length / pixels;
  const [green, blue] = step === 4 ? [1, 2] : [0, 0];
  const rgb = new Uint8Array(3 * pixels);
  for (let from = 0, to = 0; to < rgb.length; from += step, to += 3) {
    rgb[to] = bytes[from]!;
    rgb[to + 1] = bytes[from + green]!;
    rgb[to + 2] = bytes[from + blue]!;
  }
  return { width, height, data: rgb };
}
