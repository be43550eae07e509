/** Tests what is understood as a picture in Node, and the sentences for what is none; pages have a test of their own. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { runInNewContext } from 'node:vm';
import { FileFormatError } from '@cnn/core';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import {
  decodeImage,
  encodePng,
  type ImageLike,
  type PictureSource,
  readBytes,
  SourceError,
  toRgb,
  UnsupportedPicture,
} from './index.js';
import { loadSharp, type Sharp } from './sharp.js';
import { decodeInNode } from './toRgb.js';

const picture = { width: 3, height: 2, data: Uint8Array.from({ length: 18 }, (_, i) => 10 * i + 5) };
const file = Uint8Array.from(encodePng(picture));
const folder = mkdtempSync(join(tmpdir(), 'pictures-'));
const path = join(folder, 'a # b%20.png');
writeFileSync(path, file);
const servers: Server[] = [];
afterAll(() => {
  rmSync(folder, { recursive: true });
  for (const server of servers) server.close();
});
afterEach(() => vi.unstubAllGlobals());

/** Starts a server on the loopback address; gives its address. */
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  servers.push(server);
  await new Promise((resolve) => server.once('listening', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const foreign = (expression: string): unknown =>
  runInNewContext(expression, { bytes: [...file], href: pathToFileURL(path).href, URL });

test.each<readonly [string, () => unknown]>([
  ['a path', () => path],
  ['a file: URL', () => pathToFileURL(path)],
  ['the text of a file: URL', () => pathToFileURL(path).href],
  ['a data: URL', () => `data:image/png;base64,${Buffer.from(file).toString('base64')}`],
  ['a blob: URL', () => URL.createObjectURL(new Blob([file]))],
  ['a Blob', () => new Blob([file])],
  ['a File', () => new File([file], 'x')],
  ['bytes', () => file],
  ['a Buffer', () => Buffer.from(file)],
  ['an ArrayBuffer', () => file.buffer],
  ['a DataView', () => new DataView(file.buffer)],
  ['bytes of another realm', () => foreign('Uint8Array.from(bytes)')],
  ['an ArrayBuffer of another realm', () => foreign('Uint8Array.from(bytes).buffer')],
  ['an RgbImage', () => picture],
  ['RGBA', () => ({ ...picture, data: withAlpha(picture.data) })],
])('%s', async (_, source) => {
  const { width, height, data } = await toRgb(source() as PictureSource);
  expect([width, height, ...data]).toEqual([3, 2, ...picture.data]);
});

/** RGB bytes with alpha 0, 40, 80, ...: colours are kept whatever the alpha is. */
const withAlpha = (data: Uint8Array): Uint8Array =>
  Uint8Array.from({ length: (data.length / 3) * 4 }, (_, i) =>
    i % 4 === 3 ? 10 * (i - 3) : data[3 * (i >> 2) + (i % 4)]!,
  );

test('an address, its redirect, and its user and password', async () => {
  const site = await serve(({ url, headers }, response) => {
    if (url === '/old') response.writeHead(302, { location: '/new' }).end();
    else if (url?.startsWith('/private') && headers.authorization !== `Basic ${btoa('me:secret')}`)
      response.writeHead(401).end();
    else response.end(file);
  });
  for (const address of [
    `${site}/new`,
    new URL(`${site}/old`),
    `${site.replace('//', '//me:secret@')}/private`,
  ])
    expect([...(await toRgb(address)).data]).toEqual([...picture.data]);
  await expect(toRgb(`${site}/private?token=hidden`)).rejects.toMatchObject({
    code: 'ERR_SOURCE_UNREADABLE',
    message: `The server answered 401 for ${site}/private?...; check the address.`,
  });
});

test('grey bytes become three equal channels', async () => {
  const grey = await toRgb({ width: 2, height: 1, data: Uint8Array.of(7, 9) });
  expect([...grey.data]).toEqual([7, 7, 7, 9, 9, 9]);
});

/** A PNG whose EXIF says that it lies on its right side: 2 x 3 pixels upright. */
function lying(): Uint8Array {
  const exif = Buffer.from('4d4d002a0000000800010112000300000001000600000000000000', 'hex');
  const chunk = Buffer.concat([Buffer.alloc(4), Buffer.from('eXIf'), exif, Buffer.alloc(4)]);
  chunk.writeUInt32BE(exif.length, 0);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, -4)), chunk.length - 4);
  const afterHeader = 8 + 25;
  return Buffer.concat([file.subarray(0, afterHeader), chunk, file.subarray(afterHeader)]);
}

/** The checksum of a PNG chunk. */
function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

test('files are upright by EXIF, or as stored', async () => {
  const upright = await toRgb(lying());
  expect([upright.width, upright.height]).toEqual([2, 3]);
  expect(upright).toEqual(await decodeImage(lying(), { upright: true }));
  expect(await toRgb(lying(), { orientation: 'stored' })).toEqual(await decodeImage(file));
  await expect(toRgb(file, { orientation: 'left' as 'stored' })).rejects.toThrow(
    "The option orientation is 'upright' or 'stored', got a String.",
  );
});

test.each<readonly [string, unknown, string, string]>([
  ['nothing', undefined, 'ERR_SOURCE_TYPE', 'VideoFrame, got undefined.'],
  ['a promise', Promise.resolve(file), 'ERR_SOURCE_TYPE', 'got a promise (await it).'],
  ['an array', [1, 2, 3], 'ERR_SOURCE_TYPE', 'got a plain array.'],
  ['floats', new Float32Array(3), 'ERR_SOURCE_TYPE', 'got a Float32Array.'],
  ['an answer', new Response(), 'ERR_SOURCE_TYPE', 'got a Response.'],
  ['another element', { [Symbol.toStringTag]: 'HTMLDivElement' }, 'ERR_SOURCE_TYPE', 'got a HTMLDivElement.'],
  [
    'short data',
    { ...picture, width: 4 },
    'ERR_SOURCE_TYPE',
    'of 4 x 2 pixels has 24 bytes (RGB), 32 (RGBA)',
  ],
  [
    'an element without a page',
    { [Symbol.toStringTag]: 'HTMLCanvasElement' },
    'ERR_SOURCE_UNREADABLE',
    'The <canvas> gives no picture (there is no canvas here).',
  ],
  ['a missing file', join(folder, 'none.png'), 'ERR_SOURCE_NOT_FOUND', 'none.png; check the path.'],
  ['a folder', folder, 'ERR_SOURCE_UNREADABLE', 'it is a folder; give a file in it'],
  ['a closed port', 'http://127.0.0.1:1/x', 'ERR_SOURCE_UNREADABLE', 'Could not fetch http://127.0.0.1:1/x'],
])('%s is refused', async (_, source, code, sentence) => {
  const error: unknown = await toRgb(source as PictureSource).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(SourceError);
  expect(error).toMatchObject({ code, message: expect.stringContaining(sentence) });
});

test('answers without the file, and files that are too large', async () => {
  const site = await serve(({ url }, response) => {
    if (url === '/none') response.writeHead(404).end();
    else response.end(Buffer.alloc(1000));
  });
  await expect(toRgb(`${site}/none`)).rejects.toMatchObject({ code: 'ERR_SOURCE_NOT_FOUND' });
  for (const source of [`${site}/large`, path, new Blob([file]), file])
    await expect(readBytes(source, { maxBytes: 10 })).rejects.toMatchObject({
      code: 'ERR_SOURCE_TOO_LARGE',
      message: expect.stringContaining('has more than 10 bytes, the limit for a file.'),
    });
  await expect(toRgb(file, { limits: { maxPixels: 5 } })).rejects.toThrow(FileFormatError);
});

test('a signal stops reading', async () => {
  const site = await serve((_, response) => response.write(file.subarray(0, 20)));
  const stop = new AbortController();
  const reading = toRgb(`${site}/slow`, { signal: stop.signal });
  setTimeout(() => stop.abort(new Error('enough')), 50);
  await expect(reading).rejects.toThrow('enough');
  for (const source of [file, path, picture])
    await expect(toRgb(source, { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before');
});

/** Files of 3 x 2 pixels that sharp wrote, without loss. */
const others = {
  WebP: 'UklGRjYAAABXRUJQVlA4TCoAAAAvAkAAAC8gEEgQMtjfc4kXeChI24DFOtqd+U/YG2raNmBDnX85NaL/Mb0=',
  GIF: 'R0lGODlhAwACAIIAAExpcUFLVSMtN5ulrwUPGX2HkV9pcwAAACH5BAUAAAAALAAAAAADAAIAAAMESBJWkwA7',
  TIFF: 'SUkqABoAAAAFDxkjLTdBS1VfaXN9h5Gbpa8PAAABAwABAAAAAwAAAAEBAwABAAAAAgAAAAIBAwADAAAA5AAAAAMBAwABAAAAAQAAAAYBAwABAAAAAgAAABEBBAABAAAACAAAABIBAwABAAAAAQAAABUBAwABAAAAAwAAABYBAwABAAAAAwAAABcBBAABAAAAEgAAABoBBQABAAAA1AAAABsBBQABAAAA3AAAABwBAwABAAAAAQAAACgBAwABAAAAAgAAAFMBAwADAAAA6gAAAAAAAAAzM8sAAAAIADMzywAAAAgACAAIAAgAAQABAAEA',
} as const;
const installed = loadSharp();

test.runIf(!installed)('without sharp, the error names the format and the package', async () => {
  await expect(toRgb(Buffer.from(others.WebP, 'base64'))).rejects.toThrow(
    'it is WebP, which only the package sharp reads in Node. Install it (npm install sharp), or convert',
  );
  for (const [text, sentence] of [
    ['BM\x46\0\0\0\0\0', 'it is BMP, which is neither JPEG nor PNG. Convert it to one of them.'],
    ['<svg width="1">', 'it is SVG'],
    ['\0\x01\x02', 'it starts with 00 01 02'],
    ['{"error": 1}', 'it is text'],
  ] as const) {
    const error: unknown = await toRgb(Buffer.from(text, 'latin1')).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(FileFormatError);
    expect(error).toMatchObject({ code: 'ERR_FILE_FORMAT', message: expect.stringContaining(sentence) });
  }
});

test.runIf(installed).each(Object.entries(others))('sharp reads %s', async (_, base64) => {
  expect([...(await toRgb(Buffer.from(base64, 'base64'))).data]).toEqual([...picture.data]);
});

/** Imitates sharp; notes what it was asked for. */
function sharpOf(image: ImageLike | Error): { readonly asked: unknown[]; readonly sharp: Sharp } {
  const asked: unknown[] = [];
  const steps = new Proxy({} as ReturnType<Sharp>, {
    get:
      (_, name) =>
      (...given: unknown[]) => {
        asked.push([name, ...given]);
        if (name !== 'toBuffer') return steps;
        return image instanceof Error
          ? Promise.reject(image)
          : Promise.resolve({ data: image.data, info: { width: image.width, height: image.height } });
      },
  });
  const sharp: Sharp = (_, options) => {
    asked.push(options);
    return steps;
  };
  return { asked, sharp };
}

test('sharp is asked for the pixels of Pillow', async () => {
  const { asked, sharp } = sharpOf({ width: 1, height: 1, data: Uint8Array.of(9) });
  const decode = (isUpright: boolean, maxPixels: number) =>
    decodeInNode(file, 'WebP', isUpright, { maxPixels }, sharp);
  expect([...(await decode(true, 1e8))!.data]).toEqual([9, 9, 9]);
  const rest = [
    ['removeAlpha'],
    ['toColourspace', 'srgb'],
    ['raw', { depth: 'uchar' }],
    ['toBuffer', { resolveWithObject: true }],
  ];
  expect(asked).toEqual([{ limitInputPixels: 1e8, ignoreIcc: true }, ['rotate'], ...rest]);
  asked.length = 0;
  await decode(false, Number.POSITIVE_INFINITY);
  expect(asked).toEqual([{ limitInputPixels: false, ignoreIcc: true }, ...rest]);
});

test('the reason of sharp is in the error', async () => {
  const { sharp } = sharpOf(new Error('VipsJpeg: no\nmore'));
  await expect(decodeInNode(file, 'AVIF', true, { maxPixels: 1e8 }, sharp)).rejects.toThrow(
    'it is AVIF, which sharp could not read (VipsJpeg: no). Convert it to JPEG or PNG.',
  );
  expect(await decodeInNode(file, 'SVG', true, { maxPixels: 1e8 }, sharp)).toBeUndefined();
});

test('a kind of JPEG that is not read is told apart from a damaged one', async () => {
  const cmyk = Uint8Array.of(0xff, 0xd8, 0xff, 0xc0, 0, 20, 8, 0, 1, 0, 1, 4, ...new Array(12).fill(0));
  const error: unknown = await decodeImage(cmyk).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(UnsupportedPicture);
  expect(error).toMatchObject({ kind: 'JPEG in CMYK or YCCK', format: 'JPEG' });
});

test('a signal that is none is named', async () => {
  const signal = 5 as unknown as AbortSignal;
  const sentence = "The option 'signal' is an AbortSignal, got a Number.";
  await expect(toRgb(picture, { signal })).rejects.toThrow(sentence);
  await expect(readBytes(file, { signal })).rejects.toThrow(sentence);
});

test('a page without the JPEG decoder decodes by its browser, and warns once', async () => {
  vi.resetModules();
  const { DecoderUnavailable } = await import('./jpegDecoder.js');
  const fail = () => Promise.reject(new DecoderUnavailable('The JPEG decoder could not be loaded (404).'));
  vi.doMock('./decode.js', () => ({ decodeImage: fail }));
  vi.stubGlobal('createImageBitmap', async () => ({ width: 1, height: 1, close: () => undefined }));
  const data = Uint8ClampedArray.of(1, 2, 3, 255);
  const pen = { clearRect: () => undefined, drawImage: () => undefined };
  vi.stubGlobal(
    'OffscreenCanvas',
    class {
      getContext = () => ({ ...pen, getImageData: () => ({ width: 1, height: 1, data }) });
    },
  );
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  const page = await import('./toRgb.js');
  for (let i = 0; i < 2; i++) expect([...(await page.toRgb(file)).data]).toEqual([1, 2, 3]);
  expect(warn.mock.calls).toEqual([
    [expect.stringMatching(/^JPEG files are decoded by the browser.* could not be loaded \(404\)\.$/)],
  ]);
  warn.mockRestore();
  vi.doUnmock('./decode.js');
  vi.resetModules();
});
