/** Decompresses gzip with the platform's DecompressionStream, no more than the contents need. */
import { FileFormatError } from '@cnn/core';
import { MAX_EXPANSION } from './inflate.js';

/** True if the bytes start with gzip's signature. */
export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/**
 * Decompresses `bytes`.
 * @param lengthOf - tells the length of the contents from their first bytes; undefined if it needs more of them.
 * @returns the contents; shorter than their length if the file ends early.
 * @throws FileFormatError if they are damaged, or longer than their length.
 */
export async function gunzip(
  bytes: Uint8Array,
  lengthOf: (start: Uint8Array) => number | undefined,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const reader = new Blob([bytes as Uint8Array<ArrayBuffer>])
    .stream()
    .pipeThrough(new DecompressionStream('gzip'))
    .getReader();
  let start: Uint8Array = new Uint8Array(0);
  let contents: Uint8Array | undefined;
  let length = 0;
  try {
    for (;;) {
      signal?.throwIfAborted();
      const { done, value } = await reader.read().catch((error: unknown) => {
        throw new FileFormatError(
          'gzip',
          `it cannot be unpacked (${error instanceof Error ? error.message : String(error)})`,
        );
      });
      if (done) return contents?.subarray(0, length) ?? start;
      if (!contents) {
        start = Uint8Array.from([...start, ...value]);
        const size = lengthOf(start);
        if (size === undefined) continue;
        if (size > MAX_EXPANSION * bytes.length)
          throw new FileFormatError(
            'gzip',
            `its contents are to be ${size} bytes, which ${bytes.length} compressed bytes cannot hold`,
          );
        contents = new Uint8Array(size);
      }
      const part = length === 0 ? start : value;
      if (length + part.length > contents.length)
        throw new FileFormatError(
          'gzip',
          `it unpacks to more than the ${contents.length} bytes of its contents`,
        );
      contents.set(part, length);
      length += part.length;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
