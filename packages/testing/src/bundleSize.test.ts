/** Tests the size of what a page loads, and that loading it has no effect and needs no platform. */
import { createContext, runInContext } from 'node:vm';
import { build } from 'esbuild';
import { expect, test } from 'vitest';
import { moduleTextPlugin } from '../../../scripts/moduleText.mjs';
import { bundleSize, familyPrograms } from './bundleSize.js';

test('every family has a program whose size is measured', async () => {
  const { families } = (await import('../../../scripts/families.mjs' as string)) as {
    readonly families: readonly string[];
  };
  const programs = Object.values(familyPrograms);
  expect(programs).toHaveLength(families.length);
  for (const family of families)
    expect(programs.filter((program) => program.includes(`'@cnn/${family}'`))).toHaveLength(1);
});

test('compile and MobileNetV2 are at most 60 kB, the wasm back end included', async () => {
  const { first, later, text } = await bundleSize(familyPrograms.mobilenetV2!);
  expect(first).toBeLessThanOrEqual(60_000);
  expect(first).toBeGreaterThan(20_000);
  expect(later.map(({ name }) => name).sort()).toEqual([
    'packages/core/src/backends/gpu/compileGpu.ts',
    'packages/core/src/backends/gpu/compilers.ts',
    'packages/core/src/backends/wasm/ops/deferred.ts',
  ]);
  // Node's modules are requested by name at run time, so bundlers need no configuration for them.
  expect(text).not.toMatch(/\bfrom\s*["']node:|import\(["']node:|\brequire\(["']node:(?!worker_threads)/);
});

test('loading uses nothing that only pages or only Node have', async () => {
  const { outputFiles } = await build({
    stdin: {
      contents: "export * from '@cnn/core'; export * from '@cnn/mobilenet';",
      resolveDir: '.',
      loader: 'ts',
    },
    absWorkingDir: new URL('../../../', import.meta.url).pathname,
    tsconfig: 'tsconfig.base.json',
    plugins: [moduleTextPlugin],
    bundle: true,
    format: 'iife',
    globalName: 'cnn',
    platform: 'browser',
    external: ['gpu.js'],
    write: false,
  });
  // A context with the language only: no window, document, navigator, process or require.
  const context = createContext({});
  runInContext(`${outputFiles[0]!.text}\nglobalThis.cnn = cnn;`, context);
  expect(runInContext('typeof cnn.compile + typeof cnn.mobilenetV2', context)).toBe('functionfunction');
});
