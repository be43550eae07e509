import { mkdtemp, readdir, rm } from 'node:fs/promises';
import os, { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { defaultCacheDirectory, openCache } from './cache.js';

afterEach(() => {
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

test('the folder is CNN_CACHE, else cnn in the cache folder of the user', () => {
  vi.stubEnv('CNN_CACHE', '/somewhere');
  expect(defaultCacheDirectory()).toBe('/somewhere');
  vi.stubEnv('CNN_CACHE', '');
  vi.stubEnv('XDG_CACHE_HOME', '/caches');
  expect(defaultCacheDirectory()).toBe(join('/caches', 'cnn'));
  vi.stubEnv('XDG_CACHE_HOME', '');
  expect(defaultCacheDirectory()).toBe(join(homedir(), '.cache', 'cnn'));
});

describe('without a home folder', () => {
  const advice = 'choose a folder with CNN_CACHE, the cacheDir option or cnn --cache, or pass cache: false.';
  beforeEach(() => {
    vi.stubEnv('CNN_CACHE', '');
    vi.stubEnv('XDG_CACHE_HOME', '');
  });

  test('a folder has to be chosen, unless nothing is kept', () => {
    const refusal = Object.assign(new Error('uv_os_homedir returned ENOENT'), { code: 'ENOENT' });
    vi.spyOn(os, 'homedir').mockImplementation(() => {
      throw refusal;
    });
    expect(openCache({ cache: false })).toBeUndefined();
    expect(openCache({ cacheDir: '/somewhere' })).toBeDefined();
    expect(() => openCache({})).toThrow(`There is no folder to keep downloads in (ENOENT); ${advice}`);
  });

  test('an empty HOME and relative paths do not mean the current folder', () => {
    vi.stubEnv('XDG_CACHE_HOME', 'relative');
    expect(defaultCacheDirectory()).toBe(join(homedir(), '.cache', 'cnn'));
    vi.spyOn(os, 'homedir').mockReturnValue('');
    expect(() => openCache({})).toThrow(`(HOME is empty); ${advice}`);
  });

  test('an environment that may not be read is no error with cache: false', () => {
    vi.spyOn(process, 'env', 'get').mockImplementation(() => {
      throw new Error('Requires env access to "CNN_CACHE"');
    });
    expect(openCache({ cache: false })).toBeUndefined();
    expect(() => openCache({})).toThrow(`(Requires env access to "CNN_CACHE"); ${advice}`);
  });
});

test('names from URLs stay in the folder', async () => {
  const cacheDir = await mkdtemp(join(tmpdir(), 'cnn-cache-'));
  try {
    const cache = openCache({ cacheDir })!;
    for (const name of ['', '..', 'a%2F..%2F..%2Fb', '%00', 'ü', 'long'.repeat(200)])
      await cache.keep(`https://example.org/${name}`, Uint8Array.of(1));
    const names = await readdir(cacheDir);
    for (const name of names) expect(name).toMatch(/^[0-9a-f]{32}-[\w.-]{1,87}$/);
    await cache.forget('https://example.org/ü');
    expect((await readdir(cacheDir)).length).toBe(names.length - 2);
    expect(await cache.find('https://example.org/ü')).toBeUndefined();
  } finally {
    await rm(cacheDir, { recursive: true });
  }
});

test('in a browser it is the Cache storage, when asked for', async () => {
  const { getBuiltinModule } = process;
  const kept = new Map<string, Response>();
  try {
    process.getBuiltinModule = (() => undefined) as unknown as typeof process.getBuiltinModule;
    expect(openCache({})).toBeUndefined();
    expect(() => openCache({ cache: true })).toThrow(/needs a browser with Cache storage/);
    vi.stubGlobal('caches', {
      open: () =>
        Promise.resolve({
          match: (url: string) => Promise.resolve(kept.get(url)?.clone()),
          put: (url: string, answer: Response) => Promise.resolve(kept.set(url, answer)),
          delete: (url: string) => Promise.resolve(kept.delete(url)),
        }),
    });
    const cache = openCache({ cache: true })!;
    expect(await cache.find('https://example.org/x')).toBeUndefined();
    await cache.keep('https://example.org/x', Uint8Array.of(1, 2, 3));
    const found = (await cache.find('https://example.org/x')) as Blob;
    expect([...new Uint8Array(await found.arrayBuffer())]).toEqual([1, 2, 3]);
    await cache.forget('https://example.org/x');
    expect(await cache.find('https://example.org/x')).toBeUndefined();
    vi.stubGlobal('caches', {
      open: () => Promise.resolve({ put: () => Promise.reject(new Error('full')) }),
    });
    await expect(cache.keep('https://example.org/x?token=secret', Uint8Array.of(1))).rejects.toThrow(
      'Cannot keep https://example.org/x?... in the Cache storage of this page (full)',
    );
    // Chromium refuses `caches` itself in sandboxed pages, and all browsers refuse `open` if cookies are blocked.
    const refuse = (): never => {
      throw new DOMException('The operation is insecure.', 'SecurityError');
    };
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    for (const refused of [{ get: refuse }, { value: { open: async () => refuse() } }]) {
      vi.unstubAllGlobals();
      Object.defineProperty(globalThis, 'caches', { configurable: true, ...refused });
      const none = openCache({ cache: true })!;
      expect(await none.find('https://example.org/x')).toBeUndefined();
      await none.keep('https://example.org/x', Uint8Array.of(1));
      await none.forget('https://example.org/x');
    }
    expect(warn.mock.calls).toEqual(
      Array(2).fill([
        expect.stringMatching(/^Downloads are not kept, .* \(The operation is insecure\.\)\.$/),
      ]),
    );
  } finally {
    process.getBuiltinModule = getBuiltinModule;
    Reflect.deleteProperty(globalThis, 'caches');
  }
});
