/** The package check catches what it is there for. */
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
  write('packages/core/src/tensor/shape.ts', "import { Graph } from '../graph/graph.js';\n");
  const problems = problemsOf(root).join('\n');
  expect(problems).toContain('packages/vgg has no README.md');
  expect(problems).toContain('does not export article');
  expect(problems).toContain('registry.ts does not load @cnn/unknown');
  expect(problems).toContain('does not name @cnn/resnet among its peerDependencies');
  expect(problems).not.toContain('does not name @cnn/vgg');
  expect(problems).toContain("packages/vgg/package.json has no field 'version'");
  expect(problems).toContain('imports @cnn/resnet, which @cnn/vgg may not');
  expect(problems).toContain('tensor may not know graph');
});

test('links that lead nowhere, or out of a published package, are found', () => {
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
