/** Decompresses gzip with the platform's DecompressionStream, up to a limit. */
import { FileFormatError } from '@cnn/core';

/** True if the bytes start with gzip's signature. */
export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/** Decompresses `bytes`. @throws FileFormatError if they are damaged, or decompress to more than `limit` bytes. */
export async function gunzip(bytes: Uint8Array, limit: number): Promise<Uint8Array> {
  const reader = new Blob([bytes as Uint8Array<ArrayBuffer>])
    .stream()
    .pipeThrough(new DecompressionStream('gzip'))
    .getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      length += value.length;
      if (length > limit) throw new FileFormatError('gzip', `it unpacks to more than ${limit} bytes`);
      parts.push(value);
    }
  } catch (error) {
    if (error instanceof FileFormatError) throw error;
    throw new FileFormatError('gzip', `it cannot be unpacked (${(error as Error).message})`);
  } finally {
    await reader.cancel().catch(() => undefined);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
