/**
 * Caches downloads: in files in Node, on request in the browser's Cache storage. A crash leaves no partial
 * file. Entries are never revalidated: published weights do not change under their URL.
 */

import { builtin } from '../platform.js';
import { writeAtomically } from './atomicFile.js';
import { sha256Of, sha256OfText } from './hash.js';
import { makeFolder } from './makeFolder.js';
import { utf8Bytes } from './text.js';
import { shownUrl } from './url.js';

/** End of the errors about the folder. */
const ADVICE = 'choose a folder with CNN_CACHE, the cacheDir option or cnn --cache, or pass cache: false';

/** A cache of downloads, by URL. */
export interface DownloadCache {
  /** Throws if the cache is not writable. Called before a download of hundreds of megabytes. */
  prepare(): Promise<void>;
  /** Gives the path (Node) or the bytes (browser) of a cached download; undefined if there is none. */
  find(url: string): Promise<string | Blob | undefined>;
  /** Gives the SHA-256 of a cached download as it was kept; undefined in browsers, or if it is lost. */
  digestOf(url: string): Promise<string | undefined>;
  keep(url: string, bytes: Uint8Array): Promise<void>;
  /** Deletes a cached download, for instance a damaged one. */
  forget(url: string): Promise<void>;
}

/** Options of {@link openCache}. */
export interface CacheOptions {
  /** Keeps downloads. Default: true in Node, false in a browser. */
  readonly cache?: boolean | undefined;
  /** Folder of the downloads, in Node. Default: see `defaultCacheDirectory`. */
  readonly cacheDir?: string | undefined;
}

/**
 * Gives the default folder of downloads in Node: the environment variable `CNN_CACHE`, else `cnn` in the
 * user's cache folder (`XDG_CACHE_HOME`, else `~/.cache`). Undefined in browsers.
 * @throws Error if there is no home folder, or the platform does not tell it.
 */
export function defaultCacheDirectory(): string | undefined {
  const os = builtin<typeof import('node:os')>('node:os');
  const path = builtin<typeof import('node:path')>('node:path');
  if (!os || !path) return undefined;
  const { CNN_CACHE, XDG_CACHE_HOME } = environment();
  if (CNN_CACHE) return CNN_CACHE;
  // The specification of XDG_CACHE_HOME says to ignore relative paths.
  if (XDG_CACHE_HOME && path.isAbsolute(XDG_CACHE_HOME)) return path.join(XDG_CACHE_HOME, 'cnn');
  const home = homeFolder(os);
  if (!path.isAbsolute(home)) throw noFolder('HOME is empty');
  return path.join(home, '.cache', 'cnn');
}

const noFolder = (reason: string, cause?: unknown): Error =>
  new Error(`There is no folder to keep downloads in (${reason}); ${ADVICE}.`, { cause });

/** Reads the environment variables; Deno can refuse to. */
function environment(): Readonly<Record<'CNN_CACHE' | 'XDG_CACHE_HOME', string | undefined>> {
  try {
    const { CNN_CACHE, XDG_CACHE_HOME } = process.env;
    return { CNN_CACHE, XDG_CACHE_HOME };
  } catch (error) {
    throw noFolder(error instanceof Error ? error.message : String(error), error);
  }
}

/** Returns the user's home folder; without HOME a user that the system does not know, as in containers, has none. */
function homeFolder(os: typeof import('node:os')): string {
  try {
    return os.homedir();
  } catch (error) {
    throw noFolder((error as NodeJS.ErrnoException).code ?? String(error), error);
  }
}

/** Opens the cache that the options select; undefined if downloads are not kept. */
export function openCache({ cache, cacheDir }: CacheOptions): DownloadCache | undefined {
  // Before the default folder is looked for, which can fail.
  if (cache === false) return undefined;
  if (builtin<typeof import('node:fs/promises')>('node:fs/promises')) {
    const directory = cacheDir || defaultCacheDirectory();
    if (directory) return folder(directory);
  }
  return cache ? browserCache() : undefined;
}

/**
 * Caches in a folder. A file is named by 32 digits of its URL's SHA-256 and the last part of its URL. Beside it lies its
 * own SHA-256, as `sha256sum` writes it, in a file whose name ends with `.sha256`.
 */
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
  const digestFile = (file: string): string => `${file}.sha256`;
  const cannot = (error: NodeJS.ErrnoException): never => {
    const full = error.code === 'ENOSPC' || error.code === 'EDQUOT';
    throw new Error(
      `Cannot keep downloads in ${directory} (${full ? 'the disk is full' : (error.code ?? error.message)}); ${full ? 'make room, ' : ''}${ADVICE}.`,
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
    async digestOf(url) {
      const text = await fs.readFile(digestFile(await fileOf(url)), 'utf8').catch(() => '');
      return /^[0-9a-f]{64}(?= )/.exec(text)?.[0];
    },
    async keep(url, bytes) {
      const file = await fileOf(url);
      const line = utf8Bytes(`${await sha256Of(bytes)}  ${path.basename(file)}\n`);
      // A crash between the two leaves a digest that does not fit, so that the file is downloaded again.
      await writeAtomically(digestFile(file), line).catch(cannot);
      await writeAtomically(file, bytes).catch(cannot);
    },
    async forget(url) {
      const file = await fileOf(url);
      await fs.rm(file, { force: true });
      await fs.rm(digestFile(file), { force: true });
    },
  };
}

/**
 * Caches in the Cache storage of the page's origin, which stores a whole response or nothing. Sandboxed pages have
 * none, nor those whose cookies the user blocks: there it keeps nothing, with a warning.
 */
function browserCache(): DownloadCache {
  // Not read yet, since sandboxed pages may not even do that.
  if (!('caches' in globalThis))
    throw new Error(
      'The cache option needs a browser with Cache storage, on a page served over https; leave it out.',
    );
  let warned = false;
  const open = async (): Promise<Cache | undefined> => {
    try {
      return await caches.open('cnn');
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!warned)
        console.warn(
          `Downloads are not kept, since this page may not use Cache storage: it is sandboxed, or cookies are blocked (${reason}).`,
        );
      warned = true;
      return undefined;
    }
  };
  return {
    prepare: () => Promise.resolve(),
    find: async (url) => (await (await open())?.match(url))?.blob(),
    digestOf: () => Promise.resolve(undefined),
    async keep(url, bytes) {
      const cache = await open();
      await cache?.put(url, new Response(bytes as Uint8Array<ArrayBuffer>)).catch((error: Error) => {
        throw new Error(
          `Cannot keep ${shownUrl(url)} in the Cache storage of this page (${error.message}); free storage of the site, or leave the cache option out.`,
          { cause: error },
        );
      });
    },
    forget: async (url) => void (await (await open())?.delete(url)),
  };
}
