/** Reads the IDX format of MNIST (http://yann.lecun.com/exdb/mnist/), plain or gzipped. */
import { FileFormatError, type Shape, sizeOf } from '@cnn/core';
import { bytesOf } from './bytes.js';
import { gunzip, isGzip } from './gzip.js';

/** The bytes of an IDX file with their shape: n x 28 x 28 for pictures, n for labels. */
export interface IdxArray {
  readonly shape: Shape;
  readonly data: Uint8Array;
}

/** Options of {@link readIdx}. */
export interface IdxOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Largest decompressed file in bytes; MNIST and its extended forms are far smaller. */
const MAX_BYTES = 2 ** 30;

/** The header of a file. */
interface Header {
  readonly shape: Shape;
  /** Its length in bytes. */
  readonly length: number;
}

/** Writes a shape for a message; the first extents of up to 255. */
const shown = (shape: Shape): string =>
  `${shape.slice(0, 8).join(' x ')}${shape.length > 8 ? ` x ... (${shape.length} extents)` : ''}`;

/** Reads a header. Returns undefined if the bytes end within it. @throws FileFormatError if it is wrong. */
function headerOf(file: Uint8Array): Header | undefined {
  if (file.length < 4) return undefined;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const [zero, type, rank] = [view.getUint16(0), file[2]!, file[3]!];
  if (zero !== 0 || type !== 8)
    throw new FileFormatError(
      'IDX',
      `it starts with ${zero} and type 0x${type.toString(16)}; arrays of unsigned bytes start with 0 and 0x8`,
      0,
    );
  const length = 4 + 4 * rank;
  if (rank === 0) throw new FileFormatError('IDX', 'its header has no extents', 3);
  if (file.length < length) return undefined;
  return { shape: Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis)), length };
}

/** Gives the length of a whole file in bytes from its start. */
function lengthOf(start: Uint8Array): number | undefined {
  const header = headerOf(start);
  if (!header) return undefined;
  const length = header.length + sizeOf(header.shape);
  if (length > MAX_BYTES)
    throw new FileFormatError(
      'IDX',
      `${shown(header.shape)} bytes are promised, over the limit of ${MAX_BYTES}`,
      4,
    );
  return length;
}

/**
 * Reads an IDX file of unsigned bytes. A gzipped one is unpacked only as far as its header says.
 * @throws FileFormatError if the header is wrong, or does not match the length.
 */
export async function readIdx(
  bytes: Uint8Array | ArrayBuffer,
  { signal }: IdxOptions = {},
): Promise<IdxArray> {
  const given = bytesOf(bytes);
  const file = isGzip(given) ? await gunzip(given, lengthOf, signal) : given;
  if (file.length < 4) throw new FileFormatError('IDX', 'it ends within its first four bytes', file.length);
  const header = headerOf(file);
  if (!header) throw new FileFormatError('IDX', `its header of ${file[3]} extents is cut short`, file.length);
  const { shape, length } = header;
  if (file.length !== length + sizeOf(shape))
    throw new FileFormatError(
      'IDX',
      `${shown(shape)} bytes were promised, but ${file.length - length} follow the header`,
      length,
    );
  return { shape, data: file.subarray(length) };
}
