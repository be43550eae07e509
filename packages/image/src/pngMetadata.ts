/**
 * Orientation of a PNG file, in the order in which Pillow looks: an `eXIf` chunk, the hexadecimal EXIF block that
 * ImageMagick writes as text, and XMP.
 */
import { InflateError, Inflater } from './inflate.js';
import { asciiOf, exifOrientation, type Orientation, xmpOrientation } from './orientation.js';

/** A chunk that does not decide pixels. */
export interface MetadataChunk {
  readonly type: string;
  readonly data: Uint8Array;
}

/** Largest text that is inflated, in bytes: EXIF blocks have at most 64 kB, two hexadecimal digits each. */
const MAX_TEXT = 2 ** 18;

/** Keywords of the texts that hold EXIF, as ImageMagick writes it, and XMP. */
const PROFILE = 'Raw profile type exif';
const XMP = 'XML:com.adobe.xmp';

/** True for a text chunk with the given keyword. */
function isText({ type, data }: MetadataChunk, keyword: string): boolean {
  if (type !== 'tEXt' && type !== 'zTXt' && type !== 'iTXt') return false;
  for (let i = 0; i < keyword.length; i++) if (data[i] !== keyword.charCodeAt(i)) return false;
  return data[keyword.length] === 0;
}

/** Reads a text chunk with the given keyword; a damaged one is empty. */
function textOf({ type, data }: MetadataChunk, keyword: string): string {
  let at = keyword.length + 1;
  let isCompressed = false;
  if (type === 'zTXt') [at, isCompressed] = [at + 1, true];
  if (type === 'iTXt') {
    isCompressed = data[at] === 1;
    // Two bytes about compression, then a language and a translated keyword, each ended by a zero.
    at = data.indexOf(0, data.indexOf(0, at + 2) + 1) + 1;
  }
  return asciiOf(isCompressed ? inflated(data.subarray(at)) : data.subarray(at, at + MAX_TEXT));
}

function inflated(stream: Uint8Array): Uint8Array {
  try {
    const text = new Uint8Array(MAX_TEXT);
    return text.subarray(0, new Inflater(stream).read(text));
  } catch (error) {
    if (error instanceof InflateError) return new Uint8Array(0);
    throw error;
  }
}

/** Reads the bytes of a block in hexadecimal digits after three lines: an empty one, a name, and a length. */
function bytesOfProfile(text: string): Uint8Array {
  const digits =
    text
      .split('\n')
      .slice(3)
      .join('')
      .match(/[0-9a-f]{2}/gi) ?? [];
  return Uint8Array.from(digits, (pair) => Number.parseInt(pair, 16));
}

/** The metadata of a PNG file that may state its orientation. */
export class PngMetadata {
  #exif: Uint8Array | undefined;
  #profile: MetadataChunk | undefined;
  #xmp: MetadataChunk | undefined;

  /** Keeps the first chunk of each kind. Inflates none: a small file may hold thousands that inflate to much. */
  add(chunk: MetadataChunk): void {
    if (chunk.type === 'eXIf') this.#exif ??= chunk.data;
    if (isText(chunk, PROFILE)) this.#profile ??= chunk;
    if (isText(chunk, XMP)) this.#xmp ??= chunk;
  }

  /** Returns the orientation; 1 if none is stated. */
  orientation(): Orientation {
    const [profile, xmp] = [this.#profile, this.#xmp];
    const block = this.#exif ?? (profile && bytesOfProfile(textOf(profile, PROFILE)));
    return (block && exifOrientation(block)) ?? (xmp && xmpOrientation(textOf(xmp, XMP))) ?? 1;
  }
}
