/** Names the formats that are not read, so that an error says what a file is rather than its first bytes. */

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

/** Returns why a file cannot be read, as the end of a sentence. */
export function reasonFor(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'it is empty';
  const head = String.fromCharCode(...bytes.subarray(0, 512));
  const [, , name] = signatures.find(([offset, text]) => head.startsWith(text, offset)) ?? [];
  if (name) return `it is ${name}, which is neither JPEG nor PNG. Convert it to one of them.`;
  const text = head.replace(/^\xef\xbb\xbf/, '').trimStart();
  if (text.startsWith('<') && /<svg[\s>]/i.test(text))
    return 'it is SVG, which is neither JPEG nor PNG. Convert it to one of them.';
  if (/^<(?:!doctype html|html|head|body)/i.test(text))
    return 'it is a web page (HTML), neither JPEG nor PNG. Download the picture itself.';
  if (/^[\t\n\r\x20-\x7e]+$/.test(head)) return 'it is text, neither JPEG nor PNG';
  const start = [...bytes.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return `it starts with ${start}, which is neither JPEG nor PNG. Convert it to one of them.`;
}
