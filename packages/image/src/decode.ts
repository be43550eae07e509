/** Decodes a picture; the content decides the format, not the file name. */
import { checkSignal } from '@cnn/core/graph';
import { bytesOf } from './bytes.js';
import { errorFor } from './formats.js';
import { type ImageLimits, type RgbImage, resolveImageLimits } from './image.js';
import { decodeJpeg, isJpeg } from './jpeg.js';
import { type StoredPicture, upright } from './orientation.js';
import { decodePng, isPng } from './png.js';

/** Options of {@link decodeImage}. */
export interface DecodeOptions {
  readonly limits?: Partial<ImageLimits>;
  /**
   * Applies the orientation that EXIF or XMP states in a JPEG or PNG, as Pillow's `ImageOps.exif_transpose` does: phones
   * often store photos on their side. Default false, as in torchvision's evaluation.
   */
  readonly upright?: boolean;
  /**
   * Stops decoding. PNG is stopped at once; JPEG too in Node, in a page only before and after the decoder runs, which
   * takes about 20 ms for a million pixels.
   */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Decodes a JPEG or PNG file to the RGB pixels of Pillow's `Image.open(f).convert('RGB')`: alpha is dropped, and the
 * orientation of EXIF or XMP is applied only with `upright`.
 *
 * As Pillow does by default, a file that ends early is refused: a PNG without all rows, a JPEG without end marker. The
 * compressed data of a JPEG before that marker may lack parts: blocks without data then have the colour of the block
 * before, as in Pillow. A progressive file without its last scans is blurred, and Pillow blurs it otherwise.
 * @throws FileFormatError if the file is damaged otherwise, cut short or over the limits; of other formats the subclass
 * `UnsupportedPicture`, with the format.
 * @throws TypeError if `bytes` are no bytes, `signal` no AbortSignal, or a limit no number from 0 up.
 * @example
 * const image = await decodeImage(encodePng({ width: 1, height: 1, data: Uint8Array.of(255, 0, 0) }));
 */
export async function decodeImage(
  bytes: Uint8Array | ArrayBuffer,
  options?: DecodeOptions,
): Promise<RgbImage> {
  const { limits, upright: rotate = false, signal } = options ?? {};
  checkSignal(signal);
  const bounds = resolveImageLimits(limits);
  const file = bytesOf(bytes);
  const { image, orientation } = await decodeStored(file, bounds, signal);
  signal?.throwIfAborted();
  return rotate ? upright(image, orientation, signal) : image;
}

async function decodeStored(
  file: Uint8Array,
  limits: ImageLimits,
  signal: AbortSignal | undefined,
): Promise<StoredPicture> {
  if (isJpeg(file)) return decodeJpeg(file, limits, signal);
  if (isPng(file)) return decodePng(file, limits, signal);
  throw errorFor(file);
}
