/** Decodes JPEG to Pillow's pixels, bit for bit: see `jpegDecoder.ts`. */
import { timeSlices } from '@cnn/core/graph';
import type { ImageLimits } from './image.js';
import { decodeRgba } from './jpegDecoder.js';
import { failJpeg, readJpegStructure } from './jpegStructure.js';
import type { StoredPicture } from './orientation.js';

/** True if the bytes start with JPEG's signature. */
export const isJpeg = (bytes: Uint8Array): boolean => bytes[0] === 0xff && bytes[1] === 0xd8;

/** Pixels that are converted between two yields to the event loop; about 2 ms. */
const PIXELS_PER_SLICE = 2 ** 20;

/** Decodes a JPEG file. @throws FileFormatError with the reason. */
export async function decodeJpeg(
  bytes: Uint8Array,
  limits: ImageLimits,
  signal?: AbortSignal,
): Promise<StoredPicture> {
  const structure = await readJpegStructure(bytes, limits, signal);
  const { width, height, orientation } = structure;
  const pixels = width * height;
  const rgba = await decodeRgba(bytes, structure, signal);
  if (rgba.length !== 4 * pixels)
    failJpeg(`it decodes to ${rgba.length} bytes for ${width} x ${height} pixels`);
  const data = new Uint8Array(3 * pixels);
  const slice = timeSlices(signal);
  for (let first = 0; first < pixels; first += PIXELS_PER_SLICE) {
    const end = 3 * Math.min(pixels, first + PIXELS_PER_SLICE);
    for (let from = 4 * first, to = 3 * first; to < end; from += 4, to += 3) {
      data[to] = rgba[from]!;
      data[to + 1] = rgba[from + 1]!;
      data[to + 2] = rgba[from + 2]!;
    }
    await slice();
  }
  return { image: { width, height, data }, orientation };
}
