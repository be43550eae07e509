/**
 * One node project per package, one in Node with WebGPU (files called `*.gpu.test.ts`), and two in a browser
 * (files called `*.browser.test.ts`): in a page that is cross-origin isolated, so that threads can share
 * memory, and in a plain one (those called `*.pages.browser.test.ts`). `@cnn/*` means the source, so that
 * tests need no build.
 */
import { readdirSync } from 'node:fs';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { findBrowser } from './packages/testing/src/browser.js';
import { softwareVulkan } from './packages/testing/src/vulkan.js';
import { moduleTextVitePlugin } from './scripts/moduleText.mjs';

const root = import.meta.dirname;
const packages = readdirSync(`${root}/packages`);
const found = await findBrowser();

const browserProject = (
  name: string,
  include: string,
  headers: Readonly<Record<string, string>>,
): TestProjectInlineConfiguration => ({
  extends: true,
  server: { headers },
  // A page has no environment.
  define: { 'process.env.CNN_SLOW_TESTS': JSON.stringify(process.env.CNN_SLOW_TESTS ?? '') },
  test: {
    name,
    root,
    include: [`packages/*/src/**/*${include}`],
    testTimeout: 60_000,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({ launchOptions: found && { ...found } }),
      instances: [{ browser: 'chromium' }],
    },
  },
});

export default defineConfig({
  plugins: [moduleTextVitePlugin],
  resolve: {
    alias: [
      { find: /^@cnn\/(core|testing)\/(\w+)$/, replacement: `${root}/packages/$1/src/$2.ts` },
      { find: /^@cnn\/([a-z0-9]+)$/, replacement: `${root}/packages/$1/src/index.ts` },
    ],
  },
  test: {
    projects: [
      ...packages.map((name) => ({
        extends: true as const,
        test: {
          name,
          root: `${root}/packages/${name}`,
          include: ['src/**/*.test.ts'],
          exclude: ['src/**/*.{browser,gpu}.test.ts'],
          setupFiles: process.env.CNN_WIDE_SIMD === '1' ? [`${root}/packages/testing/src/wideSimd.ts`] : [],
          testTimeout: 60_000,
        },
      })),
      {
        extends: true,
        test: {
          name: 'gpu',
          root,
          include: [
            'packages/*/src/**/*.gpu.test.ts',
            ...packages.map((family) => `packages/${family}/src/${family}.test.ts`),
          ],
          setupFiles: 'packages/testing/src/webGpu.ts',
          testTimeout: 60_000,
          // Libraries are looked for when a process starts, so this is where it has to be said.
          env: { CNN_BACKEND: 'gpu', ...(process.env.CNN_GPU === 'real' ? {} : softwareVulkan(found)) },
        },
      },
      ...(found
        ? [
            browserProject('browser', '.browser.test.ts', {
              'Cross-Origin-Opener-Policy': 'same-origin',
              'Cross-Origin-Embedder-Policy': 'require-corp',
            }),
            browserProject('browser-plain', '.pages.browser.test.ts', {}),
          ]
        : []),
    ],
  },
});
