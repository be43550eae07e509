/** Tests the error for a file that is neither JPEG nor PNG. */
import { FileFormatError } from '@cnn/core';
import { expect, test } from 'vitest';
import { decodeImage, encodePng } from './index.js';

test.each([
  ['GIF89a..', /it is GIF, which is neither JPEG nor PNG\. Convert it/],
  ['BM\x46\0\0\0\0\0', /it is BMP/],
  ['RIFF\x24\0\0\0WEBPVP8 ', /it is WebP/],
  ['\0\0\0\x1cftypavif\0\0\0\0', /it is AVIF/],
  ['\0\0\0\x18ftypheic\0\0\0\0', /it is HEIC/],
  ['II*\0\x08\0\0\0', /it is TIFF/],
  ['MM\0*\0\0\0\x08', /it is TIFF/],
  ['\xff\x0a\0\0', /it is JPEG XL/],
  ['\0\0\0\x0cjP  \r\n\x87\n', /it is JPEG 2000/],
  ['\0\0\x01\0\x01\0', /it is ICO/],
  ['%PDF-1.7', /it is PDF/],
  ['<?xml version="1.0"?>\n<svg width="1">', /it is SVG/],
  ['<!DOCTYPE html><html>', /it is a web page \(HTML\), neither JPEG nor PNG/],
  ['{"error": "not found"}', /it is text, neither JPEG nor PNG/],
  ['\0\x01\x02\x03', /it starts with 00 01 02 03, which is neither JPEG nor PNG/],
  ['', /it is empty/],
])('%j', async (content, message) => {
  const error: unknown = await decodeImage(Buffer.from(content, 'latin1')).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(FileFormatError);
  expect((error as Error).message).toMatch(message);
});

test('an ArrayBuffer is read, and other values are refused', async () => {
  const file = encodePng({ width: 1, height: 1, data: Uint8Array.of(1, 2, 3) });
  const buffer = file.buffer.slice(file.byteOffset, file.byteOffset + file.length) as ArrayBuffer;
  expect((await decodeImage(buffer)).width).toBe(1);
  const wrong: readonly unknown[] = ['cat.jpg', undefined, new Blob([buffer]), [1, 2]];
  const messages = await Promise.all(
    wrong.map((value) => decodeImage(value as Uint8Array).then(String, (error: Error) => error.message)),
  );
  expect(messages).toEqual([
    'A picture file is given as bytes (Uint8Array or ArrayBuffer), got a value of type String. Read the file first.',
    'A picture file is given as bytes (Uint8Array or ArrayBuffer), got a value of type Undefined. Read the file first.',
    'A picture file is given as bytes (Uint8Array or ArrayBuffer), got a value of type Blob. Read it with arrayBuffer() first.',
    'A picture file is given as bytes (Uint8Array or ArrayBuffer), got a value of type Array. Read the file first.',
  ]);
});
