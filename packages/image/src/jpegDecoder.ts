/**
 * Runs libjpeg-turbo compiled to WebAssembly. Its code is loaded with the first JPEG. In Node, long work that a caller may
 * want to stop is done in a worker thread, since the decoder itself does not look at signals.
 */
import { createQueue } from '@cnn/core/graph';
import { builtin } from '@cnn/core/io';
import type { MozJPEGModule } from '@jsquash/jpeg/codec/dec/mozjpeg_dec.js';
import { jpegAdvice } from './jpegAdvice.js';
import { failJpeg, type JpegStructure } from './jpegStructure.js';

/** The decoder, and its memory, which the library's types leave out. */
interface Decoder extends MozJPEGModule {
  readonly HEAPU8: Uint8Array;
}

/** The decoder's files in Node. */
interface NodeFiles {
  /** URL of the JavaScript module. */
  readonly module: string;
  readonly code: WebAssembly.Module;
}

/** Finds, reads and compiles the decoder's code in Node. */
async function readFiles(): Promise<NodeFiles | undefined> {
  const module = builtin<typeof import('node:module')>('node:module');
  const fs = builtin<typeof import('node:fs/promises')>('node:fs/promises');
  const url = builtin<typeof import('node:url')>('node:url');
  if (!module || !fs || !url) return undefined;
  // In CommonJS by path: the build's stand-in for import.meta.url breaks at '#', '?' and '%' in it.
  const { resolve } = module.createRequire(typeof __filename === 'string' ? __filename : import.meta.url);
  const code = await fs.readFile(resolve('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm'));
  return {
    module: url.pathToFileURL(resolve('@jsquash/jpeg/codec/dec/mozjpeg_dec.js')).href,
    code: await WebAssembly.compile(new Uint8Array(code)),
  };
}

let files: Promise<NodeFiles | undefined> | undefined;

/** Gives the decoder's files; undefined in pages, where the decoder fetches its code. */
const nodeFiles = (): Promise<NodeFiles | undefined> => {
  files ??= readFiles().catch((error: unknown) => {
    files = undefined;
    throw error;
  });
  return files;
};

/** Error of a decoder that cannot be loaded, so that no JPEG can be read. */
export class DecoderUnavailable extends Error {
  override readonly name = 'DecoderUnavailable';
}

/** The last line that the decoder wrote: the reason if it gives up. */
let lastLine = '';

/** Loads the decoder, when the first JPEG is decoded: pages that decode only PNG do not load it. */
async function load(): Promise<Decoder> {
  const options = {
    noInitialRun: true,
    print: () => undefined,
    printErr(line: string) {
      lastLine = line;
    },
  };
  try {
    const { default: create } = await import('@jsquash/jpeg/codec/dec/mozjpeg_dec.js');
    const found = await nodeFiles();
    if (!found) return await create(options);
    return await create({
      ...options,
      instantiateWasm(imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance) => void) {
        const instance = new WebAssembly.Instance(found.code, imports);
        done(instance);
        return instance.exports;
      },
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0]! : String(error);
    throw new DecoderUnavailable(
      `The JPEG decoder could not be loaded (${reason}). ${jpegAdvice(String(error), builtin('node:fs') !== undefined)}`,
      { cause: error },
    );
  }
}

let decoder: Promise<Decoder> | undefined;

/** Memory of a decoder in bytes above which it is dropped after use: WebAssembly's memory never shrinks. */
const KEPT_BYTES = 2 ** 26;

/** Stand-in for the browser's ImageData, in which the decoder returns its result; Node has none. */
class PlainImageData {
  constructor(
    readonly data: Uint8ClampedArray,
    readonly width: number,
    readonly height: number,
  ) {}
}

/** Throws the decoder's reason, or, if it gives none, what is known of the picture. */
function failDecoding(
  { width, height, components, isProgressive, scans }: JpegStructure,
  reason: string | undefined,
): never {
  return failJpeg(
    reason
      ? `its compressed data is broken (${reason})`
      : `the decoder gives no picture and no reason for its ${width} x ${height} pixels in ${components === 1 ? 'grey' : 'colour'}, ${isProgressive ? `progressive with ${scans} scans` : 'baseline'}: its data is broken, or memory ran out. Open it in an image editor, and save it again as a baseline JPEG`,
  );
}

/** Decodes in this thread. Calls must not overlap: the decoder and the stand-in for ImageData are shared. */
async function decodeHere(bytes: Uint8Array, structure: JpegStructure): Promise<Uint8ClampedArray> {
  const scope = globalThis as { ImageData?: unknown };
  const missing = scope.ImageData === undefined;
  if (missing) scope.ImageData = PlainImageData;
  try {
    decoder ??= load();
    const loaded = await decoder.catch((error: unknown) => {
      decoder = undefined;
      throw error;
    });
    lastLine = '';
    let reason: string | undefined;
    try {
      const image = loaded.decode(Uint8Array.from(bytes), false);
      if (loaded.HEAPU8.length > KEPT_BYTES) decoder = undefined;
      if (image) return image.data;
    } catch (error) {
      reason = error instanceof Error ? error.message : undefined;
    }
    // A failed decoder's memory is in an unknown state: the next picture loads a new decoder.
    decoder = undefined;
    return failDecoding(structure, lastLine || reason);
  } finally {
    if (missing) delete scope.ImageData;
  }
}

/** The worker thread's code. It answers `{ data }`, the RGBA bytes, or `{ reason }`. */
const workerCode = `
const { parentPort, workerData: { module, code, bytes } } = require('node:worker_threads');
globalThis.ImageData = class {
  constructor(data) { this.data = data; }
};
let reason = '';
import(module)
  .then(({ default: create }) => create({
    noInitialRun: true,
    print() {},
    printErr(line) { reason = line; },
    instantiateWasm(imports, done) {
      const instance = new WebAssembly.Instance(code, imports);
      done(instance);
      return instance.exports;
    },
  }))
  .then(({ decode }) => {
    let data;
    try {
      ({ data } = decode(bytes, false));
    } catch {
      parentPort.postMessage({ reason });
      return;
    }
    parentPort.postMessage({ data }, [data.buffer]);
  });
`;

/** An answer of the worker thread. */
interface Answer {
  readonly data?: Uint8ClampedArray;
  readonly reason?: string;
}

/** Decodes in a worker thread, which an abort ends. @returns undefined if no worker can run here. */
async function decodeInWorker(
  bytes: Uint8Array,
  structure: JpegStructure,
  signal: AbortSignal,
): Promise<Uint8ClampedArray | undefined> {
  const threads = builtin<typeof import('node:worker_threads')>('node:worker_threads');
  // Missing files are reported by the decoder of this thread.
  const found = threads && (await nodeFiles().catch(() => undefined));
  if (!found) return undefined;
  // An abort while the files were read has no listener yet.
  signal.throwIfAborted();
  let worker: InstanceType<typeof threads.Worker>;
  try {
    worker = new threads.Worker(workerCode, {
      eval: true,
      execArgv: [],
      workerData: { ...found, bytes: Uint8Array.from(bytes) },
    });
  } catch {
    // Node's permission model may forbid threads.
    return undefined;
  }
  let stop: (() => void) | undefined;
  try {
    const { data, reason } = await new Promise<Answer>((resolve, reject) => {
      stop = () => reject(signal.reason);
      signal.addEventListener('abort', stop);
      worker.once('message', resolve);
      worker.once('error', () => resolve({}));
      worker.once('exit', () => resolve({}));
    });
    return reason === undefined ? data : failDecoding(structure, reason);
  } finally {
    if (stop) signal.removeEventListener('abort', stop);
    await worker.terminate();
  }
}

/** Pixels that take as long as a byte of the file, which the decoder copies and reads even if it belongs to no pixel. */
const PIXELS_PER_BYTE = 2;

/** Work in pixels from which a worker thread is started, which takes about 50 ms; here about 100 ms. */
const WORKER_PIXELS = 16e6;

/** Decodings in this thread, one after the other. */
const enqueue = createQueue();

/**
 * Decodes a JPEG file whose structure has been checked to RGBA bytes. The memory, 4 bytes a pixel and for progressive
 * files up to 6 more, is given back.
 * @param signal - stops long work in Node, in a worker thread; elsewhere only work that waits.
 * @throws FileFormatError with the decoder's reason.
 */
export async function decodeRgba(
  bytes: Uint8Array,
  structure: JpegStructure,
  signal: AbortSignal | undefined,
): Promise<Uint8ClampedArray> {
  signal?.throwIfAborted();
  const { width, height, scans } = structure;
  const work = width * height * scans + PIXELS_PER_BYTE * bytes.length;
  const made = signal && work >= WORKER_PIXELS ? await decodeInWorker(bytes, structure, signal) : undefined;
  if (made) return made;
  return enqueue(async () => {
    signal?.throwIfAborted();
    return decodeHere(bytes, structure);
  });
}
