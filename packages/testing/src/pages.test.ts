/**
 * Tests the built packages in pages: with an import map, bundled, minified, from CommonJS, cross-origin
 * isolated or not, and with content security policies. Each page runs LeNet-5, which must give PyTorch's
 * logits. `storage.test.ts` tests pages without storage.
 */
import { existsSync } from 'node:fs';
import { type BuildOptions, build } from 'esbuild';
import { type Browser, chromium } from 'playwright';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findBrowser } from './browser.js';
import { readModelGolden } from './goldens.js';
import { checkLogits, stateOf } from './modelGolden.js';
import { schemeInput, schemeWeights } from './scheme.js';
import { isolation, type Site, type SiteOptions, serve } from './site.js';

const repository = new URL('../../../', import.meta.url);
const built = ['core', 'lenet'].every((name) =>
  existsSync(new URL(`packages/${name}/dist/index.js`, repository)),
);
const found = await findBrowser();
if (!built) {
  const message = 'The packages are not built, so pages with them are not tested; run npx turbo run build.';
  if (process.env.CI) throw new Error(message);
  console.warn(message);
}

const golden = readModelGolden(new URL('packages/lenet/goldens/pub__lenet5_relu.json', repository).pathname);
const [run] = golden.runs;

/** Result of a page. */
interface Classified {
  readonly logits: readonly number[];
  readonly backend: string;
  readonly threads: number;
  readonly fallbackReason?: string;
}

/** Global variable through which the test calls the page. */
interface PageGlobals {
  classify?(given: object): Promise<Classified>;
}

/** Program of the pages. */
const program = `
import { compile, tensor, wasmBackend } from '@cnn/core';
import { lenet5 } from '@cnn/lenet';
globalThis.classify = async ({ weights, picture, backend, workerUrl, threads }) => {
  const session = await compile(lenet5(), {
    weights: new Map(weights.map(([name, shape, data]) => [name, tensor(data, shape)])),
    input: [1, 1, 32, 32],
    backend: workerUrl ? wasmBackend({ workerUrl }) : backend,
    threads,
  });
  const { data } = await session.run(Float32Array.from(picture));
  const { backend: ran, fallbackReason } = session;
  const result = { logits: [...data], backend: ran, threads: session.threads, fallbackReason };
  await session.dispose();
  return result;
};
`;

/** Bundles the program with the built packages into one script. */
async function bundle(options: BuildOptions): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: program, resolveDir: new URL('packages/lenet', repository).pathname },
    bundle: true,
    platform: 'browser',
    external: ['gpu.js'],
    // Without the repository's path aliases, so that imports resolve to the built packages.
    tsconfigRaw: {},
    write: false,
    logLevel: 'error',
    ...options,
  });
  return outputFiles![0]!.text;
}

const script = (text: string) => ({
  '/program.js': text,
  '/': '<!doctype html><script src="/program.js"></script>',
});

/** A page that loads the built files of the packages as modules. */
const importMapPage = {
  '/': `<!doctype html>
<script type="importmap">{ "imports": { "@cnn/core": "/core/index.js", "@cnn/lenet": "/lenet/index.js" } }</script>
<script type="module" src="/program.js"></script>`,
  '/program.js': program,
};

/** Returns the built file at a path such as `/core/index.js`; undefined for other paths. */
const distOf = (path: string): URL | undefined => {
  const [, name, file] = /^\/(core|lenet)\/([\w.-]+)$/.exec(path) ?? [];
  return name ? new URL(`packages/${name}/dist/${file}`, repository) : undefined;
};

describe.runIf(found && built)('a page', () => {
  let browser: Browser;
  let site: Site | undefined;
  let minified: Promise<string>;
  beforeAll(async () => {
    minified = bundle({ format: 'iife', minify: true });
    browser = await chromium.launch({ ...found! });
  });
  afterAll(() => browser.close());

  /** Opens a page, runs the network, checks the logits, and returns the result. */
  async function classify(
    texts: Readonly<Record<string, string>>,
    headers: SiteOptions['headers'],
    options: { readonly backend?: string; readonly workerUrl?: string; readonly threads?: number } = {},
  ) {
    site = await serve((path) => texts[path] ?? distOf(path), { headers });
    const page = await browser.newPage();
    const problems: string[] = [];
    page.on('pageerror', ({ message }) => problems.push(message));
    try {
      await page.goto(site.origin);
      await page.waitForFunction('globalThis.classify').catch(() => undefined);
      expect(problems).toEqual([]);
      const weights = [...schemeWeights(stateOf(golden), golden.gain2)].map(
        ([name, { shape, data }]) => [name, shape, [...data]] as const,
      );
      const picture = [...schemeInput([1, ...run!.input.slice(1)]).data];
      const result = await page.evaluate((given) => (globalThis as PageGlobals).classify!(given), {
        weights,
        picture,
        backend: 'wasm',
        ...options,
      });
      checkLogits(run!, Float32Array.from(result.logits), 1);
      return result;
    } finally {
      await page.close();
      await site.close();
    }
  }

  test('with an import map', async () => {
    expect(await classify(importMapPage, isolation, { threads: 2 })).toMatchObject({
      backend: 'wasm',
      threads: 2,
    });
  });

  test('with a minified bundle, not isolated', async () => {
    const page = script(await minified);
    const { threads, fallbackReason } = await classify(page, {}, { threads: 2 });
    expect(threads).toBe(1);
    expect(fallbackReason).toContain('a page has to be cross-origin isolated');
  });

  test('with a bundle of the CommonJS builds', async () => {
    const contents = program.replace(/import (\{.*\}) from ('.*')/g, 'const $1 = require($2)');
    const stdin = { contents, resolveDir: new URL('packages/lenet', repository).pathname };
    const page = script(await bundle({ format: 'iife', stdin }));
    expect(page['/program.js']).toContain('index.cjs');
    expect(await classify(page, isolation, { threads: 2 })).toMatchObject({ backend: 'wasm', threads: 2 });
  });

  test("with 'auto' the back end is wasm if the GPU is software", async () => {
    const page = script(await minified);
    expect(await classify(page, isolation, { backend: 'auto' })).toMatchObject({ backend: 'wasm' });
  });

  describe('with a content security policy', () => {
    const policy = (scripts: string) => ({
      ...isolation,
      'Content-Security-Policy': `default-src 'none'; script-src 'self' ${scripts}`,
    });

    test('that forbids workers from blobs: runs on the calling thread, with a reason', async () => {
      const page = script(await minified);
      const { threads, fallbackReason } = await classify(page, policy("'wasm-unsafe-eval'"), { threads: 2 });
      expect(threads).toBe(1);
      expect(fallbackReason).toMatch(/a worker could not be started .*'worker-src blob:'.* workerUrl/);
    });

    test('and a workerUrl to something else: runs on the calling thread, and says what it has to be', async () => {
      const page = { ...script(await minified), '/wrong.js': '<!doctype html>' };
      for (const workerUrl of ['/wrong.js', '/missing.js']) {
        const options = { workerUrl, threads: 2 };
        const { threads, fallbackReason } = await classify(page, policy("'wasm-unsafe-eval'"), options);
        expect(threads).toBe(1);
        expect(fallbackReason).toContain(
          `could not start from ${workerUrl}, which has to be @cnn/core/worker.js of this version`,
        );
        expect(fallbackReason).toMatch(
          workerUrl === '/wrong.js' ? /Embedder-Policy; .*SyntaxError/ : /Embedder-Policy\)/,
        );
      }
    });

    test('and a workerUrl that lacks a header of isolated pages: says which one', async () => {
      const page = script(await minified);
      const all = policy("'wasm-unsafe-eval'");
      const options = { workerUrl: '/core/worker.js', threads: 2 };
      const headers = (path: string) => (path === options.workerUrl ? {} : all);
      const { threads, fallbackReason } = await classify(page, headers, options);
      expect(threads).toBe(1);
      expect(fallbackReason).toContain('with the header Cross-Origin-Embedder-Policy');
    });

    test('and a workerUrl: runs on workers', async () => {
      const page = script(await minified);
      const options = { workerUrl: '/core/worker.js', threads: 2 };
      const { threads, fallbackReason } = await classify(page, policy("'wasm-unsafe-eval'"), options);
      expect(fallbackReason).toBeUndefined();
      expect(threads).toBe(2);
    });

    test('that forbids WebAssembly: runs on the reference, with a reason', async () => {
      const page = script(await minified);
      const { backend, fallbackReason } = await classify(page, policy(''), { backend: 'auto' });
      expect(backend).toBe('reference');
      expect(fallbackReason).toContain("has to allow 'wasm-unsafe-eval'");
    });
  });
});
