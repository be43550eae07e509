/** Decodes a picture; the content decides the format, not the file name. */
import { FileFormatError } from '@cnn/core';
import { defaultImageLimits, type ImageLimits, type RgbImage } from './image.js';
import { decodeJpeg, isJpeg } from './jpeg.js';
import { upright } from './orientation.js';
import { decodePng, isPng } from './png.js';

/** Options of {@link decodeImage}. */
export interface DecodeOptions {
  readonly limits?: Partial<ImageLimits>;
  /**
   * Applies the EXIF orientation of a JPEG, as Pillow's `ImageOps.exif_transpose` does: phones often store photos on
   * their side. Default false, as in torchvision's evaluation.
   */
  readonly upright?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Decodes a JPEG or PNG file to the RGB pixels of Pillow's `Image.open(f).convert('RGB')`: alpha is dropped, and the
 * EXIF orientation is applied only with `upright`.
 * @throws FileFormatError if the file is not a complete picture within the limits.
 * @example
 * const image = await decodeImage(encodePng({ width: 1, height: 1, data: Uint8Array.of(255, 0, 0) }));
 */
export async function decodeImage(
  bytes: Uint8Array,
  { limits, upright: rotate = false, signal }: DecodeOptions = {},
): Promise<RgbImage> {
  signal?.throwIfAborted();
  const bounds = { ...defaultImageLimits, ...limits };
  if (isJpeg(bytes)) {
    const { image, orientation } = await decodeJpeg(bytes, bounds);
    return rotate ? upright(image, orientation) : image;
  }
  if (isPng(bytes)) return decodePng(bytes, bounds);
  const start = [...bytes.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  throw new FileFormatError(
    'picture',
    bytes.length === 0
      ? 'it is empty'
      : `it starts with ${start}, which is neither JPEG nor PNG. Convert it to one of them.`,
    0,
  );
}
