/**
 * Keeps downloads: files in Node, the browser's Cache storage where that is asked for. A file is whole or not
 * there, whatever crashes. What is kept is never asked for again: published weights do not change their URL.
 */

import { builtin } from '../platform.js';
import { writeAtomically } from './atomicFile.js';
import { sha256OfText } from './hash.js';
import { makeFolder } from './makeFolder.js';

/** A place for downloads, by URL. */
export interface DownloadCache {
  /** Throws when nothing can be kept there, before hundreds of megabytes come for nothing. */
  prepare(): Promise<void>;
  /** The path or the bytes of what is kept; undefined when there is none. */
  find(url: string): Promise<string | Blob | undefined>;
  keep(url: string, bytes: Uint8Array): Promise<void>;
  /** Forgets what is kept, one that turned out to be damaged for instance. */
  forget(url: string): Promise<void>;
}

/** Which cache a reader uses. */
export interface CacheOptions {
  /** Whether downloads are kept. Default: in Node yes, in a browser no. */
  readonly cache?: boolean | undefined;
  /** The folder for them in Node. Default: see `defaultCacheDirectory`. */
  readonly cacheDir?: string | undefined;
}

/** Where Node keeps downloads unless told otherwise: `CNN_CACHE`, else `cnn` in the user's cache folder. Undefined in browsers. */
export function defaultCacheDirectory(): string | undefined {
  const os = builtin<typeof import('node:os')>('node:os');
  const path = builtin<typeof import('node:path')>('node:path');
  if (!os || !path) return undefined;
  const { CNN_CACHE, XDG_CACHE_HOME } = process.env;
  return CNN_CACHE || path.join(XDG_CACHE_HOME || path.join(os.homedir(), '.cache'), 'cnn');
}

/** The cache that the options ask for; undefined for none. */
export function openCache({ cache, cacheDir }: CacheOptions): DownloadCache | undefined {
  const directory = cacheDir ?? defaultCacheDirectory();
  if (cache === false) return undefined;
  if (builtin<typeof import('node:fs/promises')>('node:fs/promises') && directory) return folder(directory);
  return cache ? browserCache() : undefined;
}

/** Files in a folder, each under the last part of its URL behind digits that tell equal names apart. */
function folder(directory: string): DownloadCache {
  const fs = builtin<typeof import('node:fs/promises')>('node:fs/promises')!;
  const path = builtin<typeof import('node:path')>('node:path')!;
  const fileOf = async (url: string): Promise<string> => {
    const digits = (await sha256OfText(url)).slice(0, 32);
    const name = new URL(url).pathname
      .split('/')
      .at(-1)!
      .replace(/[^\w.-]/g, '_');
    return path.join(directory, `${digits}-${name.slice(-80) || 'weights'}`);
  };
  const cannot = (error: NodeJS.ErrnoException): never => {
    throw new Error(
      `Cannot keep downloads in ${directory} (${error.code ?? error.message}); choose a folder with the cacheDir option or CNN_CACHE, or pass cache: false.`,
      { cause: error },
    );
  };
  return {
    async prepare() {
      await makeFolder(directory)
        .then(() => fs.access(directory, fs.constants.W_OK))
        .catch(cannot);
    },
    async find(url) {
      const file = await fileOf(url);
      const found = await fs.stat(file).catch(() => undefined);
      return found?.isFile() ? file : undefined;
    },
    async keep(url, bytes) {
      const file = await fileOf(url);
      await writeAtomically(file, bytes).catch(cannot);
    },
    forget: async (url) => fs.rm(await fileOf(url), { force: true }),
  };
}

/** The Cache storage of the page's origin, which stores a whole answer or none. */
function browserCache(): DownloadCache {
  if (typeof caches === 'undefined')
    throw new Error(
      'The cache option needs a browser with Cache storage, on a page served over https; leave it out.',
    );
  const open = (): Promise<Cache> => caches.open('cnn');
  return {
    prepare: () => Promise.resolve(),
    find: async (url) => (await (await open()).match(url))?.blob(),
    keep: async (url, bytes) => (await open()).put(url, new Response(bytes as Uint8Array<ArrayBuffer>)),
    forget: async (url) => void (await (await open()).delete(url)),
  };
}
