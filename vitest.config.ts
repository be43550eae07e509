/**
 * The projects: `node`, the tests of all packages; `onnx`, which needs a runtime of its own; `gpu`, with WebGPU in
 * Node (files called `*.gpu.test.ts`, and the families again); and two in a browser (files called
 * `*.browser.test.ts`): in a page that is cross-origin isolated, so that threads can share memory, and in a plain
 * one (those called `*.pages.browser.test.ts`). `@cnn/*` means the source, so that tests need no build.
 *
 * The packages are one project because each project transforms all sources again, and files share a process
 * because each process loads them again: together that took a quarter of all time. What a test changes in its
 * process, it changes back; a file that cannot do so is called `*.process.test.ts` and has a process of its own.
 */
import { availableParallelism } from 'node:os';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { findBrowser } from './packages/testing/src/browser.js';
import { softwareVulkan } from './packages/testing/src/vulkan.js';
import { families } from './scripts/families.mjs';
import { moduleTextVitePlugin } from './scripts/moduleText.mjs';

const root = import.meta.dirname;
const found = await findBrowser();
const fastEquality = 'packages/testing/src/fastEquality.ts';
const setupFiles = [
  fastEquality,
  ...(process.env.CNN_WIDE_SIMD === '1' ? ['packages/testing/src/wideSimd.ts'] : []),
];
const elsewhere = 'packages/*/src/**/*.{browser,gpu}.test.ts';
const ownProcess = 'packages/*/src/**/*.process.test.ts';

/**
 * Runs the long files of a project first, so that no worker is busy long after the others. Vitest knows durations
 * from the last run alone, and starts with the largest files where there was none.
 */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const projects = ['gpu', 'onnx', 'process', 'node'];
    const long =
      /(goldens|families|float32|conformance|runtime|winograd\w*|fuzz|vgg|resnet|training)\.(gpu\.)?test/;
    const rank = ({ project, moduleId }: TestSpecification): number =>
      2 * projects.indexOf(project.name) + (long.test(moduleId) ? 0 : 1);
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

const nodeProject = (
  name: string,
  test: TestProjectInlineConfiguration['test'],
): TestProjectInlineConfiguration => ({
  extends: true,
  test: { name, root, setupFiles, testTimeout: 60_000, hookTimeout: 60_000, isolate: false, ...test },
});

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
    setupFiles: fastEquality,
    testTimeout: 60_000,
    hookTimeout: 60_000,
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
    // By default one core is left free.
    maxWorkers: availableParallelism(),
    sequence: { sequencer: LongestFirst },
    projects: [
      nodeProject('node', {
        include: ['packages/*/src/**/*.test.ts'],
        exclude: [elsewhere, ownProcess, 'packages/onnx/**'],
      }),
      nodeProject('process', { include: [ownProcess], isolate: true }),
      nodeProject('onnx', {
        include: ['packages/onnx/src/**/*.test.ts'],
        globalSetup: 'packages/onnx/test/installRuntime.ts',
      }),
      nodeProject('gpu', {
        include: [
          'packages/*/src/**/*.gpu.test.ts',
          ...families.map((family) => `packages/${family}/src/${family}.test.ts`),
        ],
        setupFiles: [fastEquality, 'packages/testing/src/webGpu.ts'],
        // Libraries are looked for when a process starts, so this is where it has to be said.
        env: { CNN_BACKEND: 'gpu', ...(process.env.CNN_GPU === 'real' ? {} : softwareVulkan(found)) },
      }),
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
