/**
 * The bytes of a weight file, read where they are needed: from memory or, in Node, from disk. A large network is
 * compiled without a second copy of its weights in memory beside the packed ones (VGG-16 has 553 MB), and of a
 * checkpoint larger than memory only the chosen weights are read.
 */
import { FileFormatError } from '../errors.js';
import { printable } from '../printable.js';
import type { Shape } from '../tensor/shape.js';
import { type LazyTensor, weaklyCached } from '../tensor/tensor.js';
import { timeSlices } from '../yield.js';
import { countOf } from './convert.js';
import { bytesPerValue, type DType, toFloat32 } from './dtype.js';
import type { Progress } from './fetch.js';
import { allocated } from './limits.js';
import { requireBuiltin } from './requireBuiltin.js';
import { withFile } from './source.js';

/** A file whose bytes can be read at any offset. */
export interface FileBytes {
  /** Size of the file. */
  readonly length: number;
  /** Reads `count` bytes from byte `at`, which lie within the file: a view of a file in memory. */
  read(at: number, count: number): Promise<Uint8Array>;
  /**
   * Makes a tensor of the contiguous, little-endian values from byte `at`, which stay on disk until they are used.
   * Undefined for a file in memory.
   */
  readonly lazy?: (at: number, dtype: DType, shape: Shape) => LazyTensor;
}

/** Gives a file in memory. */
export const inMemory = (bytes: Uint8Array): FileBytes => ({
  length: bytes.length,
  read: (at, count) => Promise.resolve(bytes.subarray(at, at + count)),
});

/** Bytes read at a time: 4 MiB. */
const CHUNK = 1 << 22;

/** Gives a file on disk. Each read opens the file, checks that it has not changed, and closes it. */
export const onDisk = (
  path: string,
  {
    onProgress,
    signal,
  }: { onProgress?: ((progress: Progress) => void) | undefined; signal?: AbortSignal | undefined },
): Promise<FileBytes> =>
  withFile(path, (_, info) => {
    let loaded = 0;
    return Promise.resolve({
      length: info.size,
      async read(at, count) {
        const sliced = timeSlices(signal);
        const bytes = allocated(count);
        for (let done = 0; done < count; done += CHUNK) {
          readRange(path, info, at + done, bytes.subarray(done, done + CHUNK));
          await sliced();
        }
        loaded += count;
        onProgress?.({ loaded, total: loaded });
        return bytes;
      },
      lazy(at, dtype, shape) {
        const width = bytesPerValue(dtype);
        const size = countOf(shape);
        const read = (first: number, end: number): Float32Array => {
          const from = Math.min(first, size);
          const bytes = new Uint8Array((Math.min(end, size) - from) * width);
          readRange(path, info, at + from * width, bytes);
          return toFloat32(bytes, dtype);
        };
        const all = weaklyCached(() => read(0, size));
        return {
          shape,
          get data() {
            return all();
          },
          read,
        };
      },
    });
  });

/**
 * The properties of a file that show that it has changed: size in bytes, times of modification and of change, inode.
 * Tools that copy a file set its time of modification (`cp -p`), but none can set that of change.
 */
const versionProperties = ['size', 'mtimeMs', 'ctimeMs', 'ino'] as const;
type FileVersion = Readonly<Record<(typeof versionProperties)[number], number>>;

/**
 * Fills `bytes` from byte `at` of a file, synchronously: `LazyTensor.read` cannot await.
 * @throws FileFormatError if the file is no longer the `expected` version.
 */
function readRange(path: string, expected: FileVersion, at: number, bytes: Uint8Array): void {
  const fs = requireBuiltin<typeof import('node:fs')>('node:fs', `Reading the file ${printable(path)}`);
  const changed = (reason: string): FileFormatError =>
    new FileFormatError(
      'weight',
      `${reason}; its weights are read on demand, so call readWeights again (${path})`,
    );
  let file: number;
  try {
    file = fs.openSync(path, 'r');
  } catch (error) {
    throw changed(`it cannot be opened any more: ${(error as Error).message}`);
  }
  try {
    const now = fs.fstatSync(file);
    if (versionProperties.some((property) => now[property] !== expected[property]))
      throw changed('it has changed since its header was read');
    for (let done = 0; done < bytes.length; ) {
      const some = fs.readSync(file, bytes, done, bytes.length - done, at + done);
      if (some === 0) throw changed('it was cut short while it was read');
      done += some;
    }
  } finally {
    fs.closeSync(file);
  }
}
