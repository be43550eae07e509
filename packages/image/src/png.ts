/** Decodes PNG to the RGB pixels that Pillow gives: alpha is dropped, and 16-bit grey is clipped at 255. */
import { FileFormatError } from '@cnn/core';
import { type DecodedPng, decode, encode } from 'fast-png';
import { type ImageLike, type ImageLimits, type RgbImage, rgbOf } from './image.js';

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

const fail = (reason: string, offset?: number): never => {
  throw new FileFormatError('PNG', reason, offset);
};

/** True if the bytes start with PNG's signature. */
export const isPng = (bytes: Uint8Array): boolean => signature.every((byte, i) => bytes[i] === byte);

/** Decodes a PNG file; an animated one to its first picture. @throws FileFormatError with the reason. */
export function decodePng(bytes: Uint8Array, limits: ImageLimits): RgbImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 33 || view.getUint32(12) !== 0x49484452) fail('it does not begin with an IHDR chunk', 8);
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  if (width === 0 || height === 0) fail(`its header says ${width} x ${height} pixels`, 16);
  if (width * height > limits.maxPixels)
    fail(
      `it has ${width} x ${height} pixels, over the limit of ${limits.maxPixels}. Raise maxPixels if you trust it.`,
      16,
    );
  if (bytes[28] === 1 && bytes[24]! < 8)
    fail(
      `it is interlaced with ${bytes[24]} bits a sample, which is not read. Save it without interlacing.`,
      24,
    );
  let png: DecodedPng;
  try {
    png = decode(bytes, { checkCrc: true });
  } catch (error) {
    return fail(`it is damaged (${error instanceof Error ? error.message : String(error)})`);
  }
  return { width, height, data: toRgb(png) };
}

/** Reads one sample of 1, 2 or 4 bits; each row starts at a byte. */
function packedSample({ data, width, channels, depth }: DecodedPng, row: number, column: number): number {
  const rowBytes = Math.ceil((width * channels * depth) / 8);
  const bit = column * depth;
  return (data[row * rowBytes + (bit >> 3)]! >> (8 - depth - (bit & 7))) & ((1 << depth) - 1);
}

function toRgb(png: DecodedPng): Uint8Array {
  const { width, height, channels, depth, data, palette } = png;
  const rgb = new Uint8Array(3 * width * height);
  const expected = depth < 8 ? height * Math.ceil((width * channels * depth) / 8) : width * height * channels;
  if (data.length < expected) fail(`it holds ${data.length} samples, ${expected} are needed`);
  for (let row = 0, at = 0; row < height; row++)
    for (let column = 0; column < width; column++, at++) {
      const sample = depth < 8 ? packedSample(png, row, column) : data[at * channels]!;
      // A truecolour picture may hold a palette too, a suggestion for screens with few colours.
      if (palette && channels === 1) {
        const colour = palette[sample] ?? [0, 0, 0];
        for (let channel = 0; channel < 3; channel++) rgb[3 * at + channel] = colour[channel]!;
      } else if (channels >= 3)
        for (let channel = 0; channel < 3; channel++)
          rgb[3 * at + channel] =
            depth === 16 ? data[at * channels + channel]! >> 8 : data[at * channels + channel]!;
      else rgb.fill(grey(sample, depth, channels), 3 * at, 3 * at + 3);
    }
  return rgb;
}

/** Converts a grey sample to a byte as Pillow does: 16 bits are clipped at 255; with alpha, the high byte is kept. */
function grey(sample: number, depth: number, channels: number): number {
  if (depth === 16) return channels === 1 ? Math.min(255, sample) : sample >> 8;
  return depth === 8 ? sample : (sample * 255) / ((1 << depth) - 1);
}

/**
 * Encodes a picture as a PNG file of RGB pixels.
 * @throws TypeError and RangeError for a picture that is none: see {@link rgbOf}.
 */
export function encodePng(image: ImageLike): Uint8Array {
  const { width, height, data } = rgbOf(image);
  return encode({ width, height, data, channels: 3, depth: 8 });
}
