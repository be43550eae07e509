/**
 * Weights that stay in their file until their values are asked for, so that a large network is compiled without
 * all of them in memory beside the packed ones: VGG-16 has 553 MB. For safetensors files on disk, in Node.
 */
import { FileFormatError } from '../errors.js';
import { requireBuiltin } from '../platform.js';
import { heldWeakly, type StoredTensor, type Weights } from '../tensor/tensor.js';
import { bytesPerValue, toFloat32 } from './dtype.js';
import { headerBytes, layoutOf, looksLikeSafetensors } from './safetensors.js';
import { type SourceOptions, withFile } from './source.js';

/** What tells one state of a file from another. */
type State = Readonly<Record<'size' | 'mtimeMs' | 'ino', number>>;

/** The tensors of a safetensors file, described and checked as when it is read whole; undefined for other formats. */
export const openOnDemand = (path: string, options: SourceOptions): Promise<Weights | undefined> =>
  withFile(path, async (file, info) => {
    options.signal?.throwIfAborted();
    const start = new Uint8Array(9);
    await file.read(start, 0, start.length, 0);
    if (!looksLikeSafetensors(start)) return undefined;
    const layout = layoutOf(await headerBytes(file, options.limits), info.size, options.limits);
    options.onProgress?.({ loaded: layout.start, total: layout.start });
    return new Map(
      layout.entries.map(({ name, dtype, shape, begin, end }) => {
        const width = bytesPerValue(dtype);
        const read = (first: number, last: number): Float32Array => {
          const from = Math.min(begin + first * width, end);
          const bytes = readRange(
            path,
            info,
            layout.start + from,
            Math.min(begin + last * width, end) - from,
          );
          return toFloat32(bytes, dtype);
        };
        const all = heldWeakly(() => read(0, (end - begin) / width));
        const stored: StoredTensor = {
          shape,
          get data() {
            return all();
          },
          read,
        };
        return [name, stored];
      }),
    );
  });

/** Bytes of a file, at once: values are asked for in places that cannot wait. */
function readRange(path: string, before: State, at: number, count: number): Uint8Array {
  const fs = requireBuiltin<typeof import('node:fs')>('node:fs', `Reading the file ${path}`);
  const fail = (reason: string): never => {
    throw new FileFormatError(
      'safetensors',
      `${reason}; its weights are read on demand, read them again (${path})`,
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
    if (now.size !== before.size || now.mtimeMs !== before.mtimeMs || now.ino !== before.ino)
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
