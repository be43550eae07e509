/** An image folder as a dataset: every picture is decoded and resized once and kept in memory for all epochs. */
import { FileFormatError, type Shape } from '@cnn/core';
import { printable } from '@cnn/core/io';
import type { RgbImage } from './image.js';
import type { FolderEntry, ImageFolder } from './imageFolder.js';
import { DecoderUnavailable } from './jpegDecoder.js';
import { checkInterpolation, checkSize, type Interpolation, resizeShorter } from './resize.js';
import { planesOf } from './transform.js';

/** Options of {@link folderDataset}. */
export interface FolderDatasetOptions {
  /** The shorter side is resized to this many pixels, as Pillow does it. Default 256. */
  readonly resize?: number;
  /** Default `'bilinear'`. */
  readonly interpolation?: Interpolation;
  /** 3 for colours, 1 for grey. Default 3. */
  readonly channels?: 1 | 3;
  /**
   * Treatment of unreadable pictures: `'fail'` (default) reads the others and throws {@link UnreadablePictures},
   * `'skip'` lists them in `skipped`.
   */
  readonly onBadImage?: 'fail' | 'skip';
  /** Bytes of pixels to keep in memory; the remaining pictures are decoded on each access. Default 2^30. */
  readonly maxBytes?: number;
  /** Called after each picture, also a skipped one. */
  readonly onProgress?: (progress: { readonly loaded: number; readonly total: number }) => void;
  readonly signal?: AbortSignal | undefined;
}

/** A picture of a folder; pictures may differ in shape. */
export interface FolderExample {
  /** Bytes by channel, row and column: c x h x w. */
  readonly pixels: Uint8Array;
  readonly label: number;
  /** Channels, height, width. */
  readonly shape: Shape;
}

/** An unreadable picture that was left out. */
export interface SkippedPicture {
  readonly path: string;
  readonly reason: string;
}

/** Error of a folder with pictures that cannot be read; the message names the first and counts all. */
export class UnreadablePictures extends Error {
  override readonly name = 'UnreadablePictures';
  constructor(
    /** All pictures that cannot be read. */
    readonly pictures: readonly SkippedPicture[],
    /** Pictures in the folder. */
    readonly total: number,
  ) {
    const others = pictures.length - 1;
    super(
      `${pictures.length} of ${total} pictures cannot be read: ${pictures[0]!.reason}${others > 0 ? ` (and ${others} more)` : ''}. Mend or remove ${others > 0 ? 'them' : 'it'}, or leave ${others > 0 ? 'them' : 'it'} out with onBadImage: 'skip'.`,
    );
  }
}

/** The pictures of a folder by index. */
export interface FolderDataset {
  readonly size: number;
  /** Names of the classes, by label. */
  readonly classes: readonly string[];
  /** The file of each example. */
  readonly entries: readonly FolderEntry[];
  /** Unreadable pictures. */
  readonly skipped: readonly SkippedPicture[];
  /** Longest side of all pictures in their files, before they are resized, in pixels. */
  readonly longestSide: number;
  /** Returns one picture, resized. @throws RangeError if there is none at `index`. */
  at(index: number): Promise<FolderExample>;
}

/** Checks options before pictures are read, which would be blamed for them. */
function checkOptions(
  resize: number,
  interpolation: Interpolation,
  channels: number,
  maxBytes: number,
): void {
  checkSize('resized to a shorter side of', resize);
  checkInterpolation(interpolation);
  if (channels !== 1 && channels !== 3)
    throw new RangeError(`'channels' is ${String(channels)}; give 3 for colours or 1 for grey.`);
  if (typeof maxBytes !== 'number' || !(maxBytes >= 0))
    throw new RangeError(`'maxBytes' is ${String(maxBytes)}; give a number from 0 up.`);
}

/**
 * Reads every picture in the `entries` of an image folder.
 * @throws UnreadablePictures that names the first of them and counts all, unless `onBadImage` is `'skip'`.
 * @throws RangeError for options out of range.
 * @throws FileFormatError if a class is left without pictures.
 * @throws Error if the JPEG decoder cannot be loaded: then no picture is to blame.
 * @example
 * const dataset = await folderDataset(await imageFolder('flowers'), { onBadImage: 'skip' });
 */
export async function folderDataset(
  { classes, entries, load }: Pick<ImageFolder, 'classes' | 'entries' | 'load'>,
  options: FolderDatasetOptions = {},
): Promise<FolderDataset> {
  const { resize = 256, interpolation = 'bilinear', channels = 3, maxBytes = 2 ** 30, signal } = options;
  checkOptions(resize, interpolation, channels, maxBytes);
  const resized = (entry: FolderEntry, file: RgbImage): FolderExample => {
    const image = resizeShorter(file, resize, interpolation);
    return {
      pixels: planesOf(image, channels),
      label: entry.label,
      shape: [channels, image.height, image.width],
    };
  };
  const good: FolderEntry[] = [];
  const kept: (FolderExample | undefined)[] = [];
  const skipped: SkippedPicture[] = [];
  let [bytes, longestSide] = [0, 0];
  for (const [index, entry] of entries.entries()) {
    signal?.throwIfAborted();
    try {
      const image = await load(entry, { signal });
      longestSide = Math.max(longestSide, image.width, image.height);
      const example = resized(entry, image);
      bytes += example.pixels.length;
      good.push(entry);
      kept.push(bytes <= maxBytes ? example : undefined);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof DecoderUnavailable) throw error;
      const reason = printable(error instanceof Error ? error.message : String(error));
      skipped.push({ path: entry.path, reason });
    }
    options.onProgress?.({ loaded: index + 1, total: entries.length });
  }
  if (skipped.length > 0 && options.onBadImage !== 'skip')
    throw new UnreadablePictures(skipped, entries.length);
  const present = new Set(good.map(({ label }) => label));
  const missing = classes.filter((_, label) => !present.has(label));
  if (missing.length > 0)
    throw new FileFormatError(
      'image folder',
      `no picture of the class ${missing.map(printable).join(', ')} can be read${skipped.length > 0 ? `; the first that failed: ${skipped[0]!.reason}` : ''}`,
    );
  return {
    size: good.length,
    classes,
    entries: good,
    skipped,
    longestSide,
    async at(index) {
      const entry = good[index];
      if (!entry) throw new RangeError(`There is no example ${index}; the dataset has ${good.length}.`);
      return kept[index] ?? resized(entry, await load(entry));
    },
  };
}
