/**
 * Lazy weights backed by a safetensors file on disk, in Node: a large network is compiled without a second
 * copy of its weights in memory beside the packed ones. VGG-16 has 553 MB.
 */
import { FileFormatError } from '../errors.js';
import { type LazyTensor, weaklyCached } from '../tensor/tensor.js';
import { bytesPerValue, toFloat32 } from './dtype.js';
import type { Listing } from './listing.js';
import { requireBuiltin } from './requireBuiltin.js';
import {
  dtypeOf,
  type Entry,
  headerBytes,
  layoutOf,
  listing,
  looksLikeSafetensors,
  requireEntries,
} from './safetensors.js';
import { type SourceOptions, withFile } from './source.js';

/** The properties of a file that show that it has changed: size in bytes, time of modification, inode. */
type FileVersion = Readonly<Record<'size' | 'mtimeMs' | 'ino', number>>;

/**
 * Reads the header of a safetensors file and makes its tensors lazy; undefined for other formats. The header
 * is checked as when the file is read whole. Each `read` opens the file, reads its range, and closes it.
 */
export const openOnDemand = (
  path: string,
  options: SourceOptions & { readonly from?: string | undefined },
): Promise<Listing<Entry> | undefined> =>
  withFile(path, async (file, info) => {
    options.signal?.throwIfAborted();
    const start = new Uint8Array(9);
    await file.read(start, 0, start.length, 0);
    if (!looksLikeSafetensors(start)) return undefined;
    const layout = layoutOf(await headerBytes(file, options.limits), info.size, options.limits);
    options.onProgress?.({ loaded: layout.start, total: layout.start });
    const lazy = (entry: Entry): LazyTensor => {
      const { shape, begin, end } = entry;
      const dtype = dtypeOf(entry);
      const width = bytesPerValue(dtype);
      const read = (first: number, last: number): Float32Array => {
        const from = Math.min(begin + first * width, end);
        const count = Math.min(begin + last * width, end) - from;
        return toFloat32(readRange(path, info, layout.start + from, count), dtype);
      };
      const all = weaklyCached(() => read(0, (end - begin) / width));
      return {
        shape,
        get data() {
          return all();
        },
        read,
      };
    };
    return listing(layout.entries, options.from, async (chosen) => {
      requireEntries(chosen, info.size, options.limits);
      return new Map([...chosen].map(([name, entry]) => [name, lazy(entry)]));
    });
  });

/**
 * Reads `count` bytes of a file from byte `at`, synchronously: `LazyTensor.read` cannot await.
 * @throws FileFormatError if the file is no longer the `expected` version.
 */
function readRange(path: string, expected: FileVersion, at: number, count: number): Uint8Array {
  const fs = requireBuiltin<typeof import('node:fs')>('node:fs', `Reading the file ${path}`);
  const fail = (reason: string): never => {
    throw new FileFormatError(
      'safetensors',
      `${reason}; its weights are read on demand, so call readWeights again (${path})`,
    );
  };
  let file: number;
  try {
    file = fs.openSync(path, 'r');
  } catch (error) {
    return fail(`it cannot be opened any more: ${(error as Error).message}`);
  }
  try {
    const now = fs.fstatSync(file);
    if (now.size !== expected.size || now.mtimeMs !== expected.mtimeMs || now.ino !== expected.ino)
      fail('it has changed since its header was read');
    const bytes = new Uint8Array(count);
    for (let done = 0; done < count; ) {
      const some = fs.readSync(file, bytes, done, count - done, at + done);
      if (some === 0) fail('it was cut short while it was read');
      done += some;
    }
    return bytes;
  } finally {
    fs.closeSync(file);
  }
}
