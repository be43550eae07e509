/**
 * Decodes JPEG with libjpeg-turbo compiled to WebAssembly, which gives Pillow's pixels bit for bit. The
 * file's structure is checked first: the decoder itself would fill in what a truncated file lacks.
 */
import { builtin, FileFormatError } from '@cnn/core';
import type { MozJPEGModule } from '@jsquash/jpeg/codec/dec/mozjpeg_dec.js';
import type { ImageLimits, RgbImage } from './image.js';
import { exifOrientation, type Orientation } from './orientation.js';

const fail = (reason: string, offset?: number): never => {
  throw new FileFormatError('JPEG', reason, offset);
};

/** Whether the bytes start as a JPEG file does. */
export const isJpeg = (bytes: Uint8Array): boolean => bytes[0] === 0xff && bytes[1] === 0xd8;

/** What the frame header says. */
interface Frame {
  readonly width: number;
  readonly height: number;
  readonly components: number;
}

const kinds: Readonly<Record<number, string>> = {
  195: 'lossless',
  197: 'hierarchical',
  198: 'hierarchical',
  199: 'hierarchical',
  201: 'arithmetic-coded',
  202: 'arithmetic-coded',
  203: 'lossless',
  205: 'hierarchical',
  206: 'hierarchical',
  207: 'hierarchical',
};

/** What stands before the picture's data. */
interface Header {
  readonly frame: Frame;
  /** What the EXIF data says, 1 where there is none. */
  readonly orientation: Orientation;
  /** Where the first scan's data begins. */
  readonly scan: number;
}

/** Walks over the segments up to the first scan. */
function headerOf(bytes: Uint8Array): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let frame: Frame | undefined;
  let orientation: Orientation = 1;
  for (let at = 2; ; ) {
    if (at < bytes.length && bytes[at] !== 0xff)
      return fail('there are stray bytes between its segments', at);
    while (at < bytes.length && bytes[at] === 0xff) at++;
    const marker = bytes[at++];
    if (marker === undefined) return fail('it ends before its first scan', bytes.length);
    if (marker === 0xd9) return fail('it has no picture in it', at);
    if (marker === 0 || marker === 1 || (marker >= 0xd0 && marker <= 0xd8)) continue;
    if (at + 2 > bytes.length) return fail('it ends within a segment', bytes.length);
    const length = view.getUint16(at);
    if (length < 2 || at + length > bytes.length)
      return fail(`a segment of ${length} bytes goes beyond its end`, at);
    if (marker === 0xda) {
      if (!frame) return fail('a scan comes before the frame header', at);
      return { frame, orientation, scan: at + length };
    }
    const kind = kinds[marker];
    if (kind) return fail(`it is ${kind}, which is not read. Save it as a baseline or progressive JPEG.`, at);
    if (marker >= 0xc0 && marker <= 0xc2) {
      if (length < 8) return fail('its frame header is cut short', at);
      if (bytes[at + 2] !== 8)
        return fail(`it has ${bytes[at + 2]} bits a sample, 8 are read. Save it with 8 bits.`, at);
      frame = { height: view.getUint16(at + 3), width: view.getUint16(at + 5), components: bytes[at + 7]! };
    }
    // One of several EXIF segments that states an orientation is enough; the first one counts.
    if (marker === 0xe1 && orientation === 1)
      orientation = exifOrientation(bytes.subarray(at + 2, at + length));
    at += length;
  }
}

/** Whether the end marker follows the scan, as it does in a complete file. */
function isComplete(bytes: Uint8Array, scan: number): boolean {
  for (let at = scan; at + 1 < bytes.length; at++)
    if (bytes[at] === 0xff && bytes[at + 1] === 0xd9) return true;
  return false;
}

/** In Node the decoder's code is read from its package; bundlers and browsers find it by themselves. */
async function codeInNode(): Promise<WebAssembly.Module | undefined> {
  const module = builtin<typeof import('node:module')>('node:module');
  const fs = builtin<typeof import('node:fs/promises')>('node:fs/promises');
  if (!module || !fs) return undefined;
  const path = module.createRequire(import.meta.url).resolve('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm');
  const code = await fs.readFile(path);
  return WebAssembly.compile(new Uint8Array(code));
}

/** The decoder, which is fetched when the first JPEG is decoded: PNG needs none of it. */
async function load(): Promise<MozJPEGModule> {
  const quiet = { noInitialRun: true, print: () => undefined, printErr: () => undefined };
  try {
    const { default: create } = await import('@jsquash/jpeg/codec/dec/mozjpeg_dec.js');
    const code = await codeInNode();
    if (!code) return await create(quiet);
    return await create({
      ...quiet,
      instantiateWasm(imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance) => void) {
        const instance = new WebAssembly.Instance(code, imports);
        done(instance);
        return instance.exports;
      },
    });
  } catch (error) {
    throw new Error(
      `The JPEG decoder could not be loaded (${error instanceof Error ? error.message : String(error)}). In a page, ` +
        'its file mozjpeg_dec.wasm has to be served beside the bundled script: Vite and webpack see to it, for ' +
        'others copy it from node_modules/@jsquash/jpeg/codec/dec. In a bundle for Node, leave @jsquash/jpeg out.',
      { cause: error },
    );
  }
}

let decoder: Promise<MozJPEGModule> | undefined;

/** The decoder hands its result over as the browser's ImageData, which Node lacks. */
class PlainImageData {
  constructor(
    readonly data: Uint8ClampedArray,
    readonly width: number,
    readonly height: number,
  ) {}
}

/** Runs the decoder with ImageData in place. */
async function decodeRgba(bytes: Uint8Array): Promise<ImageData> {
  const scope = globalThis as { ImageData?: unknown };
  const missing = scope.ImageData === undefined;
  if (missing) scope.ImageData = PlainImageData;
  try {
    decoder ??= load();
    const { decode } = await decoder;
    try {
      return decode(Uint8Array.from(bytes), false) ?? fail('its compressed data is broken');
    } catch (error) {
      if (error instanceof FileFormatError) throw error;
      return fail(
        `its compressed data is broken (${error instanceof Error ? error.message : String(error)})`,
      );
    }
  } catch (error) {
    // After an abort the decoder's memory is in an unknown state: the next picture gets a new one.
    decoder = undefined;
    throw error;
  } finally {
    if (missing) delete scope.ImageData;
  }
}

/** One decode at a time: the decoder and the stand-in are shared. */
let queue: Promise<unknown> = Promise.resolve();

/** A picture as it is stored, and which way up it is meant to be. */
interface StoredPicture {
  readonly image: RgbImage;
  readonly orientation: Orientation;
}

/** Decodes a JPEG file. @throws FileFormatError with the reason. */
export async function decodeJpeg(bytes: Uint8Array, limits: ImageLimits): Promise<StoredPicture> {
  const { frame, orientation, scan } = headerOf(bytes);
  const { width, height, components } = frame;
  if (width === 0 || height === 0) fail(`its frame header says ${width} x ${height} pixels`);
  if (width * height > limits.maxPixels)
    fail(
      `it has ${width} x ${height} pixels, over the limit of ${limits.maxPixels}. Raise maxPixels if you trust it.`,
    );
  if (components === 4) fail('its colours are CMYK or YCCK, which is not read. Convert it to RGB.');
  if (components !== 1 && components !== 3) fail(`it has ${components} colour components; 1 and 3 are read`);
  if (!isComplete(bytes, scan)) fail('it is cut short: its end marker is missing', bytes.length);
  const turn = queue.then(() => decodeRgba(bytes));
  queue = turn.catch(() => undefined);
  const rgba = await turn;
  const data = new Uint8Array(3 * width * height);
  if (rgba.data.length !== 4 * width * height)
    fail(`it decodes to ${rgba.data.length} bytes for ${width} x ${height} pixels`);
  for (let from = 0, to = 0; to < data.length; from += 4, to += 3) {
    data[to] = rgba.data[from]!;
    data[to + 1] = rgba.data[from + 1]!;
    data[to + 2] = rgba.data[from + 2]!;
  }
  return { image: { width, height, data }, orientation };
}
