/** Decodes PNG to the RGB pixels that Pillow gives: alpha is dropped, and 16-bit grey is clipped at 255. */
import { timeSlices } from '@cnn/core/graph';
import { encode } from 'fast-png';
import { type ImageLike, type ImageLimits, rgbOf } from './image.js';
import { InflateError, Inflater, MAX_EXPANSION } from './inflate.js';
import type { StoredPicture } from './orientation.js';
import { failPng, type PngParts, readPngParts } from './pngChunks.js';

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** True if the bytes start with PNG's signature. */
export const isPng = (bytes: Uint8Array): boolean => signature.every((byte, i) => bytes[i] === byte);

/** Part of the pixels that is stored as a picture of its own: first column and row, and distances between them. */
interface Pass {
  readonly left: number;
  readonly top: number;
  readonly stepX: number;
  readonly stepY: number;
}

const whole: readonly Pass[] = [{ left: 0, top: 0, stepX: 1, stepY: 1 }];
/** The passes of an interlaced picture (Adam7). */
const interlaced: readonly Pass[] = [
  { left: 0, top: 0, stepX: 8, stepY: 8 },
  { left: 4, top: 0, stepX: 8, stepY: 8 },
  { left: 0, top: 4, stepX: 4, stepY: 8 },
  { left: 2, top: 0, stepX: 4, stepY: 4 },
  { left: 0, top: 2, stepX: 2, stepY: 4 },
  { left: 1, top: 0, stepX: 2, stepY: 2 },
  { left: 0, top: 1, stepX: 1, stepY: 2 },
];

/** Bytes of a row that are decoded at a time: a multiple of the bytes of every kind of pixel. */
const SEGMENT = 24 * 8192;

/**
 * Decodes a PNG file; an animated one to its first picture. Takes 3 bytes a pixel, two rows and 100 kB; inflates no
 * more than the pixels need.
 * @throws FileFormatError with the reason.
 */
export async function decodePng(
  bytes: Uint8Array,
  limits: ImageLimits,
  signal?: AbortSignal,
): Promise<StoredPicture> {
  const parts = await readPngParts(bytes, limits, signal);
  try {
    const data = await pixelsOf(parts, signal);
    return { image: { width: parts.width, height: parts.height, data }, orientation: parts.orientation };
  } catch (error) {
    if (error instanceof InflateError) return failPng(`its compressed data is damaged: ${error.message}`);
    throw error;
  }
}

async function pixelsOf(parts: PngParts, signal?: AbortSignal): Promise<Uint8Array> {
  const { width, height, channels, depth, data } = parts;
  const bitsPerPixel = channels * depth;
  if ((width * height * bitsPerPixel) / 8 > MAX_EXPANSION * data.length)
    return failPng(
      `its ${data.length} bytes of data are too few for ${width} x ${height} pixels; it is cut short`,
    );
  const inflater = new Inflater(data);
  const rgb = new Uint8Array(3 * width * height);
  const convert = converterOf(parts);
  const slice = timeSlices(signal);
  const filter = new Uint8Array(1);
  let sinceSlice = 0;
  for (const { left, top, stepX, stepY } of parts.isInterlaced ? interlaced : whole) {
    const columns = Math.ceil((width - left) / stepX);
    if (columns <= 0) continue;
    const rowBytes = Math.ceil((columns * bitsPerPixel) / 8);
    let above = new Uint8Array(rowBytes);
    let row = new Uint8Array(rowBytes);
    for (let y = top; y < height; y += stepY) {
      if (inflater.read(filter) < 1) return cutShort(y, height);
      for (let from = 0; from < rowBytes; from += SEGMENT) {
        const end = Math.min(rowBytes, from + SEGMENT);
        if (inflater.read(row.subarray(from, end)) < end - from) return cutShort(y, height);
        unfilter(filter[0]!, row, above, from, end, Math.max(1, bitsPerPixel >> 3));
        const first = Math.floor((8 * from) / bitsPerPixel);
        const last = Math.min(columns, Math.floor((8 * end) / bitsPerPixel));
        convert(row, first, last, rgb, 3 * (y * width + left + first * stepX), 3 * stepX);
        sinceSlice += end - from;
        if (sinceSlice < SEGMENT) continue;
        sinceSlice = 0;
        await slice();
      }
      [above, row] = [row, above];
    }
  }
  inflater.finish();
  return rgb;
}

const cutShort = (row: number, height: number): never =>
  failPng(`it is cut short: its data ends in row ${row + 1} of ${height}`);

/** Undoes the filter of a row from one byte to another. @param back - bytes to the pixel on the left. */
function unfilter(
  filter: number,
  row: Uint8Array,
  above: Uint8Array,
  from: number,
  end: number,
  back: number,
): void {
  switch (filter) {
    case 0:
      return;
    case 1:
      for (let i = Math.max(from, back); i < end; i++) row[i]! += row[i - back]!;
      return;
    case 2:
      for (let i = from; i < end; i++) row[i]! += above[i]!;
      return;
    case 3:
      for (let i = from; i < end; i++) row[i]! += ((i < back ? 0 : row[i - back]!) + above[i]!) >> 1;
      return;
    case 4:
      for (let i = from; i < end; i++) {
        const [a, b, c] = [i < back ? 0 : row[i - back]!, above[i]!, i < back ? 0 : above[i - back]!];
        // The nearest of left, above and above left to left + above - above left.
        const [toA, toB, toC] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
        row[i]! += toA <= toB && toA <= toC ? a : toB <= toC ? b : c;
      }
      return;
    default:
      failPng(`a row of it has the filter ${filter}, which PNG does not have`);
  }
}

/**
 * Converts pixels of a row from column `first` to `last` to RGB.
 * @param to - offset of the first one in `rgb`.
 * @param step - bytes from one to the next there.
 */
type Converter = (
  row: Uint8Array,
  first: number,
  last: number,
  rgb: Uint8Array,
  to: number,
  step: number,
) => void;

function converterOf(parts: PngParts): Converter {
  const { channels, depth, isIndexed } = parts;
  const sampleBytes = depth >> 3;
  const pixelBytes = channels * sampleBytes;
  if (channels >= 3)
    // The first byte of a 16-bit sample is the high one.
    return (row, first, last, rgb, to, step) => {
      for (let from = first * pixelBytes; from < last * pixelBytes; from += pixelBytes, to += step) {
        rgb[to] = row[from]!;
        rgb[to + 1] = row[from + sampleBytes]!;
        rgb[to + 2] = row[from + 2 * sampleBytes]!;
      }
    };
  if (depth === 16 || channels === 2)
    return (row, first, last, rgb, to, step) => {
      for (let from = first * pixelBytes; from < last * pixelBytes; from += pixelBytes, to += step) {
        // Pillow clips 16-bit grey at 255; with alpha it keeps the high byte.
        const grey = channels === 2 ? row[from]! : row[from] === 0 ? row[from + 1]! : 255;
        rgb[to] = grey;
        rgb[to + 1] = grey;
        rgb[to + 2] = grey;
      }
    };
  const table = isIndexed ? paletteTable(parts.palette) : greyTable(depth);
  return (row, first, last, rgb, to, step) => {
    for (let column = first; column < last; column++, to += step) {
      const bit = column * depth;
      const sample = (row[bit >> 3]! >> (8 - depth - (bit & 7))) & ((1 << depth) - 1);
      rgb[to] = table[3 * sample]!;
      rgb[to + 1] = table[3 * sample + 1]!;
      rgb[to + 2] = table[3 * sample + 2]!;
    }
  };
}

/** Colours of the 256 possible samples; those beyond the palette are black. */
function paletteTable(palette: Uint8Array): Uint8Array {
  const table = new Uint8Array(768);
  table.set(palette);
  return table;
}

/** Grey values of the samples of up to 8 bits. */
const greyTable = (depth: number): Uint8Array =>
  Uint8Array.from({ length: 3 << depth }, (_, i) => (Math.floor(i / 3) * 255) / ((1 << depth) - 1));

/**
 * Encodes a picture as a PNG file of RGB pixels.
 * @throws TypeError and RangeError for a value that is not a picture: see {@link rgbOf}.
 */
export function encodePng(image: ImageLike): Uint8Array {
  const { width, height, data } = rgbOf(image);
  return encode({ width, height, data, channels: 3, depth: 8 });
}
