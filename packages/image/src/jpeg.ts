/**
 * Decodes JPEG with libjpeg-turbo compiled to WebAssembly, which gives Pillow's pixels bit for bit. Checks the file's
 * structure first, because the decoder fills in the missing part of a truncated file.
 */
import { FileFormatError } from '@cnn/core';
import { builtin } from '@cnn/core/io';
import type { MozJPEGModule } from '@jsquash/jpeg/codec/dec/mozjpeg_dec.js';
import type { ImageLimits, RgbImage } from './image.js';
import { exifOrientation, type Orientation } from './orientation.js';

const fail = (reason: string, offset?: number): never => {
  throw new FileFormatError('JPEG', reason, offset);
};

/** True if the bytes start with JPEG's signature. */
export const isJpeg = (bytes: Uint8Array): boolean => bytes[0] === 0xff && bytes[1] === 0xd8;

/** The contents of the frame header. */
interface Frame {
  readonly width: number;
  readonly height: number;
  readonly components: number;
}

/** Kinds of JPEG that the decoder does not read, by the marker of their frame header. */
const unsupported: Readonly<Record<number, string>> = {
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

/** The segments before the compressed data. */
interface Header {
  readonly frame: Frame;
  /** Orientation of the EXIF data, 1 without any. */
  readonly orientation: Orientation;
  /** Offset of the first scan's data in bytes. */
  readonly scan: number;
}

/** Reads the segments up to the first scan. @throws FileFormatError with the reason. */
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
    const kind = unsupported[marker];
    if (kind) return fail(`it is ${kind}, which is not read. Save it as a baseline or progressive JPEG.`, at);
    if (marker >= 0xc0 && marker <= 0xc2) {
      if (length < 8) return fail('its frame header is cut short', at);
      if (bytes[at + 2] !== 8)
        return fail(`it has ${bytes[at + 2]} bits a sample, 8 are read. Save it with 8 bits.`, at);
      frame = { height: view.getUint16(at + 3), width: view.getUint16(at + 5), components: bytes[at + 7]! };
    }
    // The first EXIF segment that states an orientation counts.
    if (marker === 0xe1 && orientation === 1)
      orientation = exifOrientation(bytes.subarray(at + 2, at + length));
    at += length;
  }
}

/** True if an end marker follows the scan, as in every complete file. */
function isComplete(bytes: Uint8Array, scan: number): boolean {
  for (let at = scan; at + 1 < bytes.length; at++)
    if (bytes[at] === 0xff && bytes[at + 1] === 0xd9) return true;
  return false;
}

/** Reads and compiles the decoder's code in Node; undefined in pages, where the decoder fetches its code. */
async function codeInNode(): Promise<WebAssembly.Module | undefined> {
  const module = builtin<typeof import('node:module')>('node:module');
  const fs = builtin<typeof import('node:fs/promises')>('node:fs/promises');
  if (!module || !fs) return undefined;
  const path = module.createRequire(import.meta.url).resolve('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm');
  const code = await fs.readFile(path);
  return WebAssembly.compile(new Uint8Array(code));
}

/** Loads the decoder, when the first JPEG is decoded: pages that decode only PNG do not load it. */
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
        'its file mozjpeg_dec.wasm must lie beside the bundled script: Vite and webpack put it there; with other ' +
        'bundlers, copy it from node_modules/@jsquash/jpeg/codec/dec. In a bundle for Node, mark @jsquash/jpeg as external.',
      { cause: error },
    );
  }
}

let decoder: Promise<MozJPEGModule> | undefined;

/** Stand-in for the browser's ImageData, in which the decoder returns its result; Node has none. */
class PlainImageData {
  constructor(
    readonly data: Uint8ClampedArray,
    readonly width: number,
    readonly height: number,
  ) {}
}

/** Runs the decoder, with a stand-in for ImageData in Node. */
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
    // A failed decoder's memory is in an unknown state: the next picture loads a new decoder.
    decoder = undefined;
    throw error;
  } finally {
    if (missing) delete scope.ImageData;
  }
}

/** The last decode. Calls are queued, because the decoder and the stand-in for ImageData are shared. */
let queue: Promise<unknown> = Promise.resolve();

/** A picture as stored, and the orientation to show it in. */
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
  const decoding = queue.then(() => decodeRgba(bytes));
  queue = decoding.catch(() => undefined);
  const rgba = await decoding;
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
