/** Orientation by EXIF or XMP: cameras store the sensor's rows and columns, and there how to rotate or mirror them. */
import { timeSlices } from '@cnn/core/graph';
import type { RgbImage } from './image.js';

/** EXIF's orientation: 1 is upright, 2 to 4 are mirrored or upside down, 5 to 8 lie on a side. */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

/** A picture as stored, and the orientation to show it in. */
export interface StoredPicture {
  readonly image: RgbImage;
  readonly orientation: Orientation;
}

/** True if a number is one of EXIF's orientations. */
const isOrientation = (value: number): value is Orientation =>
  Number.isInteger(value) && value >= 1 && value <= 8;

/** The tag of the orientation. */
const ORIENTATION = 0x0112;

/**
 * Reads the orientation of an EXIF block: a TIFF header, after `Exif` and two zero bytes in JPEG.
 * @returns undefined if the block states none, or is damaged.
 */
export function exifOrientation(block: Uint8Array): Orientation | undefined {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const tiff = block.length >= 6 && view.getUint32(0) === 0x45786966 ? 6 : 0;
  if (block.length < tiff + 8) return undefined;
  const order = view.getUint16(tiff);
  if (order !== 0x4949 && order !== 0x4d4d) return undefined;
  const little = order === 0x4949;
  const directory = tiff + view.getUint32(tiff + 4, little);
  if (directory + 2 > block.length) return undefined;
  const entries = view.getUint16(directory, little);
  for (let entry = 0; entry < entries; entry++) {
    const at = directory + 2 + 12 * entry;
    if (at + 12 > block.length) return undefined;
    if (view.getUint16(at, little) !== ORIENTATION) continue;
    // A SHORT by the standard; some writers make it a BYTE or a LONG.
    const type = view.getUint16(at + 2, little);
    const value =
      type === 1
        ? view.getUint8(at + 8)
        : type === 4
          ? view.getUint32(at + 8, little)
          : view.getUint16(at + 8, little);
    return isOrientation(value) ? value : undefined;
  }
  return undefined;
}

/**
 * Reads the orientation in XMP, as Pillow does.
 * @returns undefined if the text states none.
 */
export function xmpOrientation(text: string): Orientation | undefined {
  const value = Number(/tiff:Orientation(?:="|>)([0-9])/.exec(text)?.[1]);
  return isOrientation(value) ? value : undefined;
}

/** Decodes text of which only the ASCII characters matter, so that every byte may be a character. */
export const asciiOf = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');

/** Pixels that are turned between two yields to the event loop; a few milliseconds. */
const PIXELS_PER_SLICE = 2 ** 18;

/** Returns the picture upright, as Pillow's `ImageOps.exif_transpose` does. */
export async function upright(
  image: RgbImage,
  orientation: Orientation,
  signal?: AbortSignal,
): Promise<RgbImage> {
  if (orientation === 1) return image;
  const { width, height, data } = image;
  const onSide = orientation >= 5;
  const [outWidth, outHeight] = onSide ? [height, width] : [width, height];
  // Directions in which stored columns and rows run backwards in the upright picture.
  const rightToLeft = [2, 3, 7, 8].includes(orientation);
  const bottomToTop = [3, 4, 6, 7].includes(orientation);
  // Bytes in the stored picture: to the pixel of the next stored column and row, and of the next upright ones.
  const [toColumn, toRow] = [rightToLeft ? -3 : 3, bottomToTop ? -3 * width : 3 * width];
  const [across, down] = onSide ? [toRow, toColumn] : [toColumn, toRow];
  let rowStart = (bottomToTop ? 3 * (height - 1) * width : 0) + (rightToLeft ? 3 * (width - 1) : 0);
  let [from, column] = [rowStart, 0];
  const result = new Uint8Array(data.length);
  const slice = timeSlices(signal);
  for (let first = 0; first < result.length; first += 3 * PIXELS_PER_SLICE) {
    const end = Math.min(result.length, first + 3 * PIXELS_PER_SLICE);
    for (let to = first; to < end; to += 3) {
      result[to] = data[from]!;
      result[to + 1] = data[from + 1]!;
      result[to + 2] = data[from + 2]!;
      from += across;
      if (++column < outWidth) continue;
      column = 0;
      rowStart += down;
      from = rowStart;
    }
    await slice();
  }
  return { width: outWidth, height: outHeight, data: result };
}
