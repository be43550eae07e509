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

/** Bytes of rows that are decoded at a time: a multiple of the bytes of every kind of pixel. */
const SEGMENT = 24 * 8192;

/**
 * Decodes a PNG file; an animated one to its first picture. Takes 3 bytes a pixel, two rows and 300 kB; inflates no
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
  for (const { left, top, stepX, stepY } of parts.isInterlaced ? interlaced : whole) {
    const columns = Math.ceil((width - left) / stepX);
    if (columns <= 0) continue;
    const rowBytes = Math.ceil((columns * bitsPerPixel) / 8);
    // A row is stored after its filter. The first line here is that of the row above, at first zeros.
    const line = 1 + rowBytes;
    const most = Math.max(1, Math.floor(SEGMENT / line));
    const lines = new Uint8Array((1 + Math.min(most, Math.ceil((height - top) / stepY))) * line);
    for (let y = top; y < height; ) {
      const bytes = Math.min(most, Math.ceil((height - y) / stepY)) * line;
      for (let from = 0; from < bytes; from += SEGMENT) {
        const end = Math.min(bytes, from + SEGMENT);
        const count = inflater.read(lines.subarray(line + from, line + end));
        if (count < end - from) return cutShort(y + stepY * Math.floor((from + count) / line), height);
        await slice();
      }
      for (let at = line; at <= bytes; at += line, y += stepY)
        for (let from = 0; from < rowBytes; from += SEGMENT) {
          const end = Math.min(rowBytes, from + SEGMENT);
          unfilter(lines, at + 1, line, from, end, Math.max(1, bitsPerPixel >> 3));
          const first = Math.floor((8 * from) / bitsPerPixel);
          const last = Math.min(columns, Math.floor((8 * end) / bitsPerPixel));
          convert(lines, at + 1, first, last, rgb, 3 * (y * width + left + first * stepX), 3 * stepX);
          if (rowBytes > SEGMENT) await slice();
        }
      lines.copyWithin(0, bytes, bytes + line);
    }
  }
  inflater.finish();
  return rgb;
}

const cutShort = (row: number, height: number): never =>
  failPng(`it is cut short: its data ends in row ${row + 1} of ${height}`);

/**
 * Undoes the filter of a row from one byte to another.
 * @param start - offset of the row in `lines`; its filter lies before it.
 * @param line - bytes back to the row above.
 * @param back - bytes to the pixel on the left.
 */
function unfilter(
  lines: Uint8Array,
  start: number,
  line: number,
  from: number,
  end: number,
  back: number,
): void {
  const filter = lines[start - 1]!;
  switch (filter) {
    case 0:
      return;
    case 1:
      for (let i = start + Math.max(from, back); i < start + end; i++) lines[i]! += lines[i - back]!;
      return;
    case 2:
      for (let i = start + from; i < start + end; i++) lines[i]! += lines[i - line]!;
      return;
    case 3:
      for (let i = start + from; i < start + end; i++)
        lines[i]! += ((i < start + back ? 0 : lines[i - back]!) + lines[i - line]!) >> 1;
      return;
    case 4:
      for (let i = start + from; i < start + end; i++) {
        const isFirst = i < start + back;
        const [a, b, c] = [
          isFirst ? 0 : lines[i - back]!,
          lines[i - line]!,
          isFirst ? 0 : lines[i - line - back]!,
        ];
        // The nearest of left, above and above left to left + above - above left.
        const [toA, toB, toC] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
        lines[i]! += toA <= toB && toA <= toC ? a : toB <= toC ? b : c;
      }
      return;
    default:
      failPng(`a row of it has the filter ${filter}, which PNG does not have`);
  }
}

/**
 * Converts pixels of a row from column `first` to `last` to RGB.
 * @param start - offset of the row in `lines`.
 * @param to - offset of the first one in `rgb`.
 * @param step - bytes from one to the next there.
 */
type Converter = (
  lines: Uint8Array,
  start: number,
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
    return (lines, start, first, last, rgb, to, step) => {
      const end = start + last * pixelBytes;
      for (let from = start + first * pixelBytes; from < end; from += pixelBytes, to += step) {
        rgb[to] = lines[from]!;
        rgb[to + 1] = lines[from + sampleBytes]!;
        rgb[to + 2] = lines[from + 2 * sampleBytes]!;
      }
    };
  if (depth === 16 || channels === 2)
    return (lines, start, first, last, rgb, to, step) => {
      const end = start + last * pixelBytes;
      for (let from = start + first * pixelBytes; from < end; from += pixelBytes, to += step) {
        // Pillow clips 16-bit grey at 255; with alpha it keeps the high byte.
        const grey = channels === 2 ? lines[from]! : lines[from] === 0 ? lines[from + 1]! : 255;
        rgb[to] = grey;
        rgb[to + 1] = grey;
        rgb[to + 2] = grey;
      }
    };
  const table = isIndexed ? paletteTable(parts.palette) : greyTable(depth);
  return (lines, start, first, last, rgb, to, step) => {
    for (let column = first; column < last; column++, to += step) {
      const bit = column * depth;
      const sample = (lines[start + (bit >> 3)]! >> (8 - depth - (bit & 7))) & ((1 << depth) - 1);
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
