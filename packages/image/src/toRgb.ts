/** Makes RGB pixels of every kind of picture that programs and pages hold, so that no caller has to tell them apart. */
import { checkSignal } from '@cnn/core/graph';
import { describeValue, kindOf } from '@cnn/core/io';
import { decodeImage } from './decode.js';
import { canDraw, type DrawnSource, decodeByBrowser, isDrawn, readDrawn, readImageData } from './drawn.js';
import { UnsupportedPicture } from './formats.js';
import { type ImageLike, type ImageLimits, type RgbImage, resolveImageLimits, rgbOf } from './image.js';
import { DecoderUnavailable } from './jpegDecoder.js';
import { type FileSource, isFileSource, readBytes } from './readBytes.js';
import { decodeBySharp, loadSharp, type Sharp, sharpReads } from './sharp.js';
import { SourceError } from './sourceError.js';

/**
 * A picture: a file (path, URL, Blob, bytes), pixels (`RgbImage`, `ImageData`, grey bytes), or what a page shows
 * (`<img>`, `<video>`, `<canvas>`, `OffscreenCanvas`, `ImageBitmap`, `VideoFrame`).
 */
export type PictureSource = FileSource | ImageLike | DrawnSource;

/** Options of {@link toRgb}. */
export interface ToRgbOptions {
  /**
   * `'upright'` (default) turns a file's picture as EXIF or XMP state, as people see it; `'stored'` leaves it as it is
   * stored, as torchvision does. What a page shows is upright always; pixels are taken as they are.
   */
  readonly orientation?: 'upright' | 'stored';
  readonly limits?: Partial<ImageLimits>;
  /** Stops reading and decoding; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Gives the RGB pixels of any kind of picture. Alpha is dropped, as Pillow and torchvision do, not composited; grey
 * becomes three equal channels. The bytes of an `RgbImage` are not copied.
 *
 * JPEG and PNG files have Pillow's pixels; where a page cannot load the JPEG decoder, its browser decodes, with a warning.
 * Other formats (WebP, AVIF, GIF, BMP, ..., CMYK JPEG) are decoded by the browser
 * in pages, and in Node by the package sharp if it is installed; both ignore colour profiles. There the colours of
 * transparent pixels are lost in pages: they are black.
 * @throws SourceError with a `code` for another kind of value, a file that is not there, and an element without pixels.
 * @throws FileFormatError for a file that is damaged, too large, or of a format that nothing here reads; the message names
 * the format.
 * @example
 * const picture = await toRgb(new Blob([encodePng({ width: 1, height: 1, data: Uint8Array.of(255, 0, 0) })]));
 */
export async function toRgb(source: PictureSource, options: ToRgbOptions = {}): Promise<RgbImage> {
  const { orientation = 'upright', signal } = options;
  if (orientation !== 'upright' && orientation !== 'stored')
    throw new TypeError(
      `The option orientation is 'upright' or 'stored', got ${describeValue(orientation)}.`,
    );
  const limits = resolveImageLimits(options.limits);
  checkSignal(signal);
  if (isFileSource(source))
    return decodeFile(await readBytes(source, { signal }), orientation === 'upright', limits, signal);
  if (isDrawn(source)) return readDrawn(source, limits, signal);
  if (isPixels(source)) return readPixels(source, limits, signal);
  throw new SourceError(
    'ERR_SOURCE_TYPE',
    `A picture is a path, a URL, a Blob, bytes, { width, height, data }, ImageData, ImageBitmap, <img>, <video>, <canvas>, OffscreenCanvas or VideoFrame, got ${describeValue(source)}.`,
  );
}

const isPixels = (value: unknown): value is ImageLike =>
  typeof value === 'object' && value !== null && 'width' in value && 'height' in value && 'data' in value;

async function readPixels(
  image: ImageLike,
  limits: ImageLimits,
  signal: AbortSignal | undefined,
): Promise<RgbImage> {
  const { colorSpace } = image as Partial<ImageData>;
  if (kindOf(image) === 'ImageData' && (colorSpace === 'display-p3' || kindOf(image.data) === 'Float16Array'))
    return readImageData(image as ImageData, limits, signal);
  try {
    return rgbOf(image);
  } catch (error) {
    throw new SourceError('ERR_SOURCE_TYPE', (error as Error).message, { cause: error });
  }
}

async function decodeFile(
  file: Uint8Array,
  isUpright: boolean,
  limits: ImageLimits,
  signal: AbortSignal | undefined,
): Promise<RgbImage> {
  try {
    return await decodeImage(file, { limits, upright: isUpright, signal });
  } catch (error) {
    // A page may forbid the JPEG decoder, or have lost its files; its browser reads JPEG too.
    if (!(error instanceof UnsupportedPicture || error instanceof DecoderUnavailable)) throw error;
    if (error instanceof DecoderUnavailable && canDraw()) warnOnce(error);
    const kind = error instanceof UnsupportedPicture ? error.kind : 'JPEG';
    const image = canDraw()
      ? await decodeByBrowser(file, isUpright, limits, signal)
      : await decodeInNode(file, kind, isUpright, limits);
    signal?.throwIfAborted();
    if (image) return image;
    throw error;
  }
}

let warned = false;

/** Warns that JPEG files are decoded otherwise: probabilities change a little, which nobody would notice. */
function warnOnce({ message }: DecoderUnavailable): void {
  if (warned) return;
  warned = true;
  console.warn(
    `JPEG files are decoded by the browser, whose pixels differ from Pillow's by a little. ${message}`,
  );
}

/** Formats of documents and drawings, which have no pixels of their own. */
const drawings: readonly (string | undefined)[] = ['SVG', 'PDF', 'Photoshop', undefined];

/**
 * Decodes a file of another format with sharp.
 * @param sharp - default: the installed one.
 * @returns undefined if sharp is not installed, and would not read it.
 * @throws FileFormatError that names the format and sharp.
 */
export async function decodeInNode(
  file: Uint8Array,
  kind: string | undefined,
  isUpright: boolean,
  limits: ImageLimits,
  sharp: Sharp | undefined = loadSharp(),
): Promise<RgbImage | undefined> {
  if (kind === undefined || drawings.includes(kind)) return undefined;
  if (sharp) return decodeBySharp(sharp, file, kind, isUpright, limits);
  if (!sharpReads(kind)) return undefined;
  throw new UnsupportedPicture(
    'picture',
    kind,
    `it is ${kind}, which only the package sharp reads in Node. Install it (npm install sharp), or convert the picture to an RGB JPEG or PNG.`,
    0,
  );
}
