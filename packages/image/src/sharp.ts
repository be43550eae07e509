/**
 * Has the package sharp decode what the built-in decoders do not read, in Node. It is an optional peer: 20 MB of native
 * code, which pages cannot use and most programs do not need.
 */
import { FileFormatError } from '@cnn/core';
import { builtin } from '@cnn/core/io';
import { type ImageLimits, type RgbImage, rgbOf } from './image.js';

/** The part of sharp that is used here. */
export type Sharp = (
  file: Uint8Array,
  options: { readonly limitInputPixels: number | false; readonly ignoreIcc: boolean },
) => SharpPicture;

/** The steps of sharp that are used here. */
interface SharpPicture {
  /** Without an angle: turns the picture upright by EXIF. */
  rotate(): SharpPicture;
  removeAlpha(): SharpPicture;
  toColourspace(name: 'srgb'): SharpPicture;
  raw(options: { readonly depth: 'uchar' }): SharpPicture;
  toBuffer(options: { readonly resolveWithObject: true }): Promise<{
    readonly data: Uint8Array;
    readonly info: { readonly width: number; readonly height: number };
  }>;
}

/** Formats that the sharp of npm reads, by their names in messages. Those who build it themselves may have more. */
const usual = /^(?:GIF|WebP|AVIF|TIFF|JPEG in |JPEG that is arithmetic)/;

/** True if the sharp of npm reads a kind of file. */
export const sharpReads = (kind: string): boolean => usual.test(kind);

/** Loads sharp from where it is installed; undefined in pages, and where it is not. Bundlers do not see it. */
export function loadSharp(): Sharp | undefined {
  const module = builtin<typeof import('node:module')>('node:module');
  if (!module) return undefined;
  // Beside this package, or, in a bundle or a strict tree of packages, beside the program.
  for (const place of [typeof __filename === 'string' ? __filename : import.meta.url, `${process.cwd()}/`])
    try {
      return module.createRequire(place)('sharp') as Sharp;
    } catch {
      // Not installed there, or its binary does not run here.
    }
  return undefined;
}

/**
 * Decodes a file with sharp: the first picture of an animation, without alpha and without colour management, as Pillow's
 * `convert('RGB')`.
 * @throws FileFormatError with sharp's reason.
 */
export async function decodeBySharp(
  sharp: Sharp,
  file: Uint8Array,
  kind: string,
  isUpright: boolean,
  { maxPixels }: ImageLimits,
): Promise<RgbImage> {
  const limitInputPixels = Number.isFinite(maxPixels) ? Math.floor(maxPixels) : false;
  try {
    const opened = sharp(file, { limitInputPixels, ignoreIcc: true });
    const { data, info } = await (isUpright ? opened.rotate() : opened)
      .removeAlpha()
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    // A plain array, since a Buffer's slice() does not copy.
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length);
    return rgbOf({ width: info.width, height: info.height, data: bytes });
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0]! : String(error);
    throw new FileFormatError(
      'picture',
      `it is ${kind}, which sharp could not read (${reason}). Convert it to JPEG or PNG.`,
      0,
    );
  }
}
