/** Names the formats that are not read, so that an error says what a file is rather than its first bytes. */
import { FileFormatError } from '@cnn/core';

/** Text at an offset in the first bytes of a file, and the format that it tells. */
const signatures: readonly (readonly [offset: number, text: string, name: string])[] = [
  [0, 'GIF8', 'GIF'],
  [0, 'BM', 'BMP'],
  [8, 'WEBP', 'WebP'],
  [4, 'ftypavif', 'AVIF'],
  [4, 'ftypavis', 'AVIF'],
  [4, 'ftypheic', 'HEIC'],
  [4, 'ftypheix', 'HEIC'],
  [4, 'ftypmif1', 'HEIF'],
  [4, 'ftypmsf1', 'HEIF'],
  [0, 'II*\0', 'TIFF'],
  [0, 'MM\0*', 'TIFF'],
  [0, '\xff\x0a', 'JPEG XL'],
  [4, 'JXL \r\n\x87\n', 'JPEG XL'],
  [4, 'jP  \r\n\x87\n', 'JPEG 2000'],
  [0, '\xffO\xffQ', 'JPEG 2000'],
  [0, '\0\0\x01\0', 'ICO'],
  [0, '8BPS', 'Photoshop'],
  [0, '%PDF', 'PDF'],
];

/**
 * A picture file of a format, or of a kind of JPEG, that `decodeImage` does not read. `toRgb` has the browser or
 * sharp read it where it can.
 */
export class UnsupportedPicture extends FileFormatError {
  constructor(
    format: string,
    /** The kind in words: `'WebP'`, `'lossless JPEG'`; undefined if the first bytes are those of no known format. */
    readonly kind: string | undefined,
    reason: string,
    offset: number,
  ) {
    super(format, reason, offset);
  }
}

/** Returns the error for a file that is neither JPEG nor PNG. */
export function errorFor(bytes: Uint8Array): FileFormatError {
  if (bytes.length === 0) return new FileFormatError('picture', 'it is empty', 0);
  const unsupported = (kind: string | undefined, what: string): UnsupportedPicture =>
    new UnsupportedPicture(
      'picture',
      kind,
      `${what}, which is neither JPEG nor PNG. Convert it to one of them.`,
      0,
    );
  const head = String.fromCharCode(...bytes.subarray(0, 512));
  const [, , name] = signatures.find(([offset, text]) => head.startsWith(text, offset)) ?? [];
  if (name) return unsupported(name, `it is ${name}`);
  const text = head.replace(/^\xef\xbb\xbf/, '').trimStart();
  if (text.startsWith('<') && /<svg[\s>]/i.test(text)) return unsupported('SVG', 'it is SVG');
  if (/^<(?:!doctype html|html|head|body)/i.test(text))
    return new FileFormatError(
      'picture',
      'it is a web page (HTML), neither JPEG nor PNG. Download the picture itself.',
      0,
    );
  if (/^[\t\n\r\x20-\x7e]+$/.test(head))
    return new FileFormatError('picture', 'it is text, neither JPEG nor PNG', 0);
  const start = [...bytes.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return unsupported(undefined, `it starts with ${start}`);
}
