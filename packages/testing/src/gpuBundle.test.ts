/** The gpu back end in a minified bundle, as a page in production has it: kernels are text and survive. */
import { join } from 'node:path';
import { build } from 'esbuild';
import { chromium } from 'playwright';
import { expect, test } from 'vitest';
import { moduleTextPlugin } from '../../../scripts/moduleText.mjs';
import { findBrowser } from './browser.js';
import type { BundleResult } from './gpuBundle.page.js';

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
    // Pages get WebGPU from places that are secure, as this name is.
    await page.route('http://localhost/', (route) =>
      route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>bundle</title>' }),
    );
    await page.goto('http://localhost/');
    await page.addScriptTag({ content: outputFiles[0]!.text });
    const results = await page.evaluate(() =>
      (globalThis as unknown as { runBundle(): Promise<Record<string, BundleResult>> }).runBundle(),
    );
    for (const mode of ['webgpu', 'webgl2']) {
      expect(results[mode]!.problems).toEqual([]);
      expect(results[mode]!.cases).toBeGreaterThan(20);
    }
  } finally {
    await browser.close();
  }
});
