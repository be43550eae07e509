/** Tests the gpu back end in a minified bundle: its kernels are text, which minification keeps. */
import { join } from 'node:path';
import { build } from 'esbuild';
import { chromium } from 'playwright';
import { expect, test } from 'vitest';
import { moduleTextPlugin } from '../../../scripts/moduleText.mjs';
import { findBrowser } from './browser.js';
import type { PageGlobals } from './gpuBundle.page.js';

const found = await findBrowser();
const repository = join(import.meta.dirname, '../../..');

test.runIf(found)('networks on WebGPU and WebGL2 from a minified bundle', async () => {
  const { outputFiles, warnings } = await build({
    entryPoints: [join(import.meta.dirname, 'gpuBundle.page.ts')],
    tsconfig: join(repository, 'tsconfig.base.json'),
    plugins: [moduleTextPlugin],
    bundle: true,
    minify: true,
    format: 'iife',
    target: 'es2022',
    write: false,
    logLevel: 'silent',
  });
  expect(warnings.map(({ text }) => text)).toEqual([]);
  const browser = await chromium.launch({ ...found! });
  try {
    const page = await browser.newPage();
    // WebGPU requires a secure context, which localhost is.
    await page.route('http://localhost/', (route) =>
      route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>bundle</title>' }),
    );
    await page.goto('http://localhost/');
    await page.addScriptTag({ content: outputFiles[0]!.text });
    const results = await page.evaluate(() => (globalThis as PageGlobals).runBundle!());
    for (const mode of ['webgpu', 'webgl2']) {
      expect(results[mode]!.problems).toEqual([]);
      expect(results[mode]!.cases).toBeGreaterThan(20);
    }
  } finally {
    await browser.close();
  }
});
