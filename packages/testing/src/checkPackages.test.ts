/** Tests that the package check finds problems. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

const { problemsOf } = (await import('../../../scripts/check-packages.mjs' as string)) as {
  problemsOf(root: string): readonly string[];
};

const root = mkdtempSync(join(tmpdir(), 'check-'));
afterAll(() => rmSync(root, { recursive: true }));
const write = (path: string, text: string): void => {
  mkdirSync(join(root, path, '..'), { recursive: true });
  writeFileSync(join(root, path), text);
};

test('this repository has no problem', () => {
  expect(problemsOf(join(import.meta.dirname, '../../..'))).toEqual([]);
});

test('a missing file, a wrong import between packages and one between layers are found', () => {
  write('packages/vgg/package.json', '{ "name": "@cnn/vgg" }');
  write(
    'packages/vgg/src/index.ts',
    "import { resnet18 } from '@cnn/resnet';\nexport const models = resnet18;\n",
  );
  write('packages/unknown/package.json', '{ "private": true }');
  write('packages/unknown/src/article.ts', '');
  write('packages/cli/package.json', '{ "private": true, "peerDependencies": { "@cnn/vgg": "*" } }');
  write('packages/core/package.json', '{ "private": true }');
  write(
    'packages/core/src/tensor/shape.ts',
    "import '../model/entry.js';\nimport { Graph } from '../graph/graph.js';\n",
  );
  write('packages/core/src/unknown/file.ts', '');
  const problems = problemsOf(root).join('\n');
  expect(problems).toContain('packages/core/src/unknown/file.ts has no place among the coreLayers');
  expect(problems).toContain('packages/vgg has no README.md');
  expect(problems).toContain('does not export article');
  expect(problems).toContain('registry.ts does not load @cnn/unknown');
  expect(problems).toContain('does not name @cnn/resnet among its peerDependencies');
  expect(problems).not.toContain('does not name @cnn/vgg');
  expect(problems).toContain("packages/vgg/package.json has no field 'version'");
  expect(problems).toContain('imports @cnn/resnet, which @cnn/vgg may not');
  expect(problems).toContain('tensor may not know graph');
  expect(problems).toContain('tensor may not know model');
});

test('a wrong import between the folders of the wasm back end is found; tests may have any', () => {
  const wasm = 'packages/core/src/backends/wasm';
  write('packages/core/package.json', '{ "private": true }');
  write(`${wasm}/codegen/kernel.ts`, "import type { Fusion } from '../schedule/fusions.js';\n");
  write(`${wasm}/codegen/kernel.test.ts`, "import { findFusions } from '../schedule/fusions.js';\n");
  write(`${wasm}/runtime/runner.ts`, "import { lowererFor } from '../ops/index.js';\n");
  write(
    `${wasm}/schedule/fusions.ts`,
    "import { Region } from '../memory/region.js';\nimport { Graph } from '../../../graph/graph.js';\n",
  );
  write(
    `${wasm}/wasm.ts`,
    "import { Runner } from './runtime/runner.js';\nimport { wasmProgram } from './program.js';\n",
  );
  expect(problemsOf(root).filter((problem) => problem.includes(': wasm/'))).toEqual([
    `${wasm}/codegen/kernel.ts imports ../schedule/fusions.js: wasm/codegen may not know wasm/schedule.`,
    `${wasm}/runtime/runner.ts imports ../ops/index.js: wasm/runtime may not know wasm/ops.`,
  ]);
});

test('files that import each other in a circle are found, with the path', () => {
  write('packages/lenet/package.json', '{ "private": true }');
  write('packages/lenet/src/a.ts', "import type { B } from './b.js';\nexport type A = B;\n");
  write('packages/lenet/src/b.ts', "export { c } from './parts/c.js';\nexport interface B {}\n");
  write('packages/lenet/src/parts/c.ts', "export const c = () => import('../a.js');\n");
  write(
    'packages/lenet/src/d.ts',
    "import './a.js';\n// import './d.js';\nimport { e } from '@cnn/lenet/e';\n",
  );
  write('packages/lenet/src/e.ts', 'export const e = 1;\n');
  const circles = problemsOf(root).filter((problem) => problem.includes('circle'));
  expect(circles).toEqual([
    expect.stringContaining(
      'packages/lenet/src/a.ts -> packages/lenet/src/b.ts -> packages/lenet/src/parts/c.ts -> packages/lenet/src/a.ts',
    ),
  ]);
});

test('links to missing targets, and relative links out of a published package, are found', () => {
  write(
    'README.md',
    '# Top\n\n[a](none.md) [b](#no-heading) [c](#top) `[d](code)` [e](https://example.com)\n',
  );
  write('packages/nin/package.json', '{ "files": ["dist", "block.svg"] }');
  write('packages/nin/block.svg', '');
  write('packages/nin/README.md', '![x](block.svg) [y](../../README.md) [z](../../README.md#missing)\n');
  const published = 'https://github.com/cnn-js/cnn/blob/main/README.md';
  write('packages/bench/package.json', '{ "private": true }');
  write('packages/bench/README.md', `[1](../../README.md#top) [2](${published}) [3](${published}#missing)\n`);
  const found = problemsOf(root).filter((problem) => problem.includes('points to'));
  expect(found).toEqual([
    'README.md points to none.md, which does not exist.',
    'README.md points to #no-heading, which has no such heading.',
    `packages/bench/README.md points to ${published}#missing, which has no such heading.`,
    expect.stringMatching(
      /^packages.nin.README.md points to ..\/..\/README.md, which is not in the published package/,
    ),
    'packages/nin/README.md points to ../../README.md#missing, which has no such heading.',
  ]);
});
