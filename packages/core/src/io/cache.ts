/** Keeps downloaded files on disk in Node. A crash never leaves half a file under a final name. */
import { builtin } from './node.js';

/** Where downloads are kept unless told otherwise: `CNN_CACHE`, else `cnn` in the user's cache folder. */
export function defaultCacheDirectory(): string | undefined {
  const os = builtin('node:os');
  const path = builtin('node:path');
  if (!os || !path) return undefined;
  return (
    process.env.CNN_CACHE || path.join(process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'), 'cnn')
  );
}

/** The file of a URL in the cache: its own name behind eight digits that tell equal names apart. */
async function cachePath(directory: string, url: string): Promise<string> {
  const path = builtin('node:path')!;
  const digits = builtin('node:crypto')!.createHash('sha256').update(url).digest('hex').slice(0, 8);
  const name =
    new URL(url).pathname
      .split('/')
      .at(-1)
      ?.replace(/[^\w.-]/g, '_') || 'weights';
  return path.join(directory, `${digits}-${name}`);
}

/** Path of the cached file, undefined when there is none. */
export async function cached(directory: string, url: string): Promise<string | undefined> {
  const path = await cachePath(directory, url);
  const found = await builtin('node:fs/promises')!
    .stat(path)
    .catch(() => undefined);
  return found?.isFile() ? path : undefined;
}

/** Keeps the bytes of a URL: written beside, flushed, then renamed. */
export async function keep(directory: string, url: string, bytes: Uint8Array): Promise<void> {
  const fs = builtin('node:fs/promises')!;
  const path = await cachePath(directory, url);
  await fs.mkdir(directory, { recursive: true });
  const temporary = `${path}.${process.pid}.partial`;
  try {
    const file = await fs.open(temporary, 'w');
    await file.writeFile(bytes).finally(() => file.close());
    await fs.rename(temporary, path);
  } catch (error) {
    await fs.rm(temporary, { force: true });
    throw error;
  }
}

/** Forgets a cached file, one that turned out to be damaged for instance. */
export async function forget(directory: string, url: string): Promise<void> {
  await builtin('node:fs/promises')!.rm(await cachePath(directory, url), { force: true });
}
