/** Reads the IDX format of MNIST (http://yann.lecun.com/exdb/mnist/), plain or gzipped. */
import { FileFormatError, type Shape, sizeOf } from '@cnn/core';
import { gunzip, isGzip } from './gzip.js';

/** The bytes of an IDX file with their shape: n x 28 x 28 for pictures, n for labels. */
export interface IdxArray {
  readonly shape: Shape;
  readonly data: Uint8Array;
}

/** Largest decompressed file in bytes; MNIST and its extended forms are far smaller. */
const MAX_BYTES = 2 ** 30;

/**
 * Reads an IDX file of unsigned bytes.
 * @throws FileFormatError if the header is wrong, or does not match the length.
 */
export async function readIdx(bytes: Uint8Array): Promise<IdxArray> {
  const file = isGzip(bytes) ? await gunzip(bytes, MAX_BYTES) : bytes;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < 4) throw new FileFormatError('IDX', 'it ends within its first four bytes', file.length);
  const [zero, type, rank] = [view.getUint16(0), file[2]!, file[3]!];
  if (zero !== 0 || type !== 8)
    throw new FileFormatError(
      'IDX',
      `it starts with ${zero} and type 0x${type.toString(16)}; arrays of unsigned bytes start with 0 and 0x8`,
      0,
    );
  const header = 4 + 4 * rank;
  if (rank === 0 || file.length < header)
    throw new FileFormatError('IDX', `its header of ${rank} extents is cut short`, file.length);
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  if (file.length !== header + sizeOf(shape))
    throw new FileFormatError(
      'IDX',
      `${shape.join(' x ')} bytes were promised, but ${file.length - header} follow the header`,
      header,
    );
  return { shape, data: file.subarray(header) };
}
