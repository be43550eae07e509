/**
 * Pixels of what a page shows or decodes: elements, canvases, bitmaps, video frames, and files of formats that only the
 * browser knows. The picture is drawn on a canvas, some rows at a time, and read back.
 */
import { timeSlices } from '@cnn/core/graph';
import { kindOf } from '@cnn/core/io';
import { type ImageLimits, type RgbImage, rgbOf } from './image.js';
import { SourceError } from './sourceError.js';

/** An object of a page's class, if the program is checked with the DOM's types; else none. */
type InstanceOf<Name extends string> =
  typeof globalThis extends Record<Name, { prototype: infer Instance }> ? Instance : never;

/** A picture that a page shows or holds. */
export type DrawnSource =
  | InstanceOf<'HTMLImageElement'>
  | InstanceOf<'HTMLVideoElement'>
  | InstanceOf<'HTMLCanvasElement'>
  | InstanceOf<'OffscreenCanvas'>
  | InstanceOf<'ImageBitmap'>
  | InstanceOf<'VideoFrame'>;

/** Names in messages of the kinds that can be drawn, with the advice for one that cannot. */
const kinds: Readonly<Record<string, readonly [name: string, advice: string]>> = {
  HTMLImageElement: ['<img>', "Wait for its 'load' event, and check that its address is a picture."],
  HTMLVideoElement: ['<video>', "It has no frame yet: wait for its 'loadeddata' event."],
  HTMLCanvasElement: ['<canvas>', 'It needs at least 1 x 1 pixels.'],
  OffscreenCanvas: ['OffscreenCanvas', 'It needs at least 1 x 1 pixels, and must not be transferred.'],
  ImageBitmap: ['ImageBitmap', 'It must not be closed or transferred.'],
  VideoFrame: ['VideoFrame', 'It must not be closed or transferred.'],
};

/** True if a value is of a kind that a page can draw, of any realm. */
export const isDrawn = (value: unknown): value is DrawnSource => Object.hasOwn(kinds, kindOf(value));

/** Pixels that are drawn at a time; about 4 ms. Some browsers give canvases of more than 16 million pixels no memory. */
const PIXELS_PER_STRIP = 2 ** 20;

/** True in pages and their workers, which decode files and have canvases. */
export const canDraw = (): boolean =>
  typeof createImageBitmap === 'function' &&
  (typeof OffscreenCanvas === 'function' || typeof document === 'object');

/**
 * Takes the pixels that a value shows now, without its alpha; transparent pixels are black, since canvases do not keep
 * their colours.
 * @throws SourceError if it has no pixels, too many, or the browser hides them.
 */
export async function readDrawn(
  source: DrawnSource,
  limits: ImageLimits,
  signal?: AbortSignal,
): Promise<RgbImage> {
  const kind = kindOf(source);
  const [name, advice] = kinds[kind]!;
  const fail = (reason: string, cause?: unknown): never => {
    throw new SourceError('ERR_SOURCE_UNREADABLE', `The ${name} gives no picture (${reason}). ${advice}`, {
      cause,
    });
  };
  if (!canDraw()) return fail('there is no canvas here');
  if (kind === 'ImageBitmap') return readBitmap(source as ImageBitmap, name, limits, signal);
  // Elements may still load.
  if (kind === 'HTMLImageElement')
    await (source as HTMLImageElement).decode().catch((error: Error) => fail(error.message, error));
  signal?.throwIfAborted();
  // A copy, since videos and canvases change while their rows are read.
  const bitmap = await createImageBitmap(source, { colorSpaceConversion: 'none' }).catch((error: Error) =>
    fail(error.message, error),
  );
  return readBitmap(bitmap, name, limits, signal).finally(() => bitmap.close());
}

/**
 * Converts a canvas's `ImageData` of other colours than sRGB, or of floats, to sRGB bytes.
 * @throws SourceError as {@link readDrawn} does.
 */
export async function readImageData(
  data: ImageData,
  limits: ImageLimits,
  signal?: AbortSignal,
): Promise<RgbImage> {
  const bitmap = await createImageBitmap(data);
  return readBitmap(bitmap, 'ImageData', limits, signal).finally(() => bitmap.close());
}

/**
 * Decodes a file by the browser, without its colour management.
 * @returns undefined if the browser cannot read it.
 * @throws SourceError for more pixels than the limit, which are known once they are decoded.
 */
export async function decodeByBrowser(
  file: Uint8Array,
  isUpright: boolean,
  limits: ImageLimits,
  signal?: AbortSignal,
): Promise<RgbImage | undefined> {
  const bitmap = await createImageBitmap(new Blob([Uint8Array.from(file)]), {
    imageOrientation: isUpright ? 'from-image' : 'none',
    colorSpaceConversion: 'none',
    premultiplyAlpha: 'none',
  }).catch(() => undefined);
  return bitmap && readBitmap(bitmap, 'file', limits, signal).finally(() => bitmap.close());
}

/** Reads the pixels of a bitmap in strips of rows, between which the page can do other things. */
async function readBitmap(
  bitmap: ImageBitmap,
  name: string,
  { maxPixels }: ImageLimits,
  signal: AbortSignal | undefined,
): Promise<RgbImage> {
  const { width, height } = bitmap;
  if (width * height === 0)
    throw new SourceError(
      'ERR_SOURCE_UNREADABLE',
      `The ${name} has no pixels. ${kinds[name]?.[1] ?? ''}`.trim(),
    );
  if (width * height > maxPixels)
    throw new SourceError(
      'ERR_SOURCE_TOO_LARGE',
      `The ${name} has ${width} x ${height} pixels, over the limit maxPixels of ${maxPixels.toLocaleString('en-US')}.`,
    );
  const rows = Math.min(height, Math.max(1, Math.floor(PIXELS_PER_STRIP / width)));
  const pen = penOf(width, rows);
  const data = new Uint8Array(3 * width * height);
  const slice = timeSlices(signal);
  try {
    for (let top = 0; top < height; top += rows) {
      const count = Math.min(rows, height - top);
      pen.clearRect(0, 0, width, count);
      pen.drawImage(bitmap, 0, top, width, count, 0, 0, width, count);
      data.set(rgbOf(pen.getImageData(0, 0, width, count)).data, 3 * width * top);
      await slice();
    }
  } catch (error) {
    if ((error as Error | undefined)?.name !== 'SecurityError') throw error;
    throw new SourceError(
      'ERR_SOURCE_UNREADABLE',
      `The browser hides the pixels of the ${name}, since they are of another origin. Load them with the attribute crossorigin, from a server that allows it (CORS).`,
      { cause: error },
    );
  }
  return { width, height, data };
}

/** Makes a canvas in memory, in sRGB, and gives what draws on it. */
function penOf(width: number, height: number): OffscreenCanvasRenderingContext2D | CanvasRenderingContext2D {
  const canvas =
    typeof OffscreenCanvas === 'function'
      ? new OffscreenCanvas(width, height)
      : Object.assign(document.createElement('canvas'), { width, height });
  const pen = canvas.getContext('2d', { willReadFrequently: true, colorSpace: 'srgb' }) as
    | OffscreenCanvasRenderingContext2D
    | CanvasRenderingContext2D
    | null;
  if (!pen)
    throw new SourceError(
      'ERR_SOURCE_UNREADABLE',
      `The browser gives no canvas of ${width} x ${height} pixels; close other pages, or take a smaller picture.`,
    );
  return pen;
}
