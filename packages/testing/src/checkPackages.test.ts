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
  write('packages/core/package.json', '{ "private": true }');
  write('packages/core/src/tensor/shape.ts', "import { Graph } from '../graph/graph.js';\n");
  const problems = problemsOf(root).join('\n');
  expect(problems).toContain('packages/vgg has no README.md');
  expect(problems).toContain('does not export article');
  expect(problems).toContain("packages/vgg/package.json has no field 'version'");
  expect(problems).toContain('imports @cnn/resnet, which @cnn/vgg may not');
  expect(problems).toContain('tensor may not know graph');
});
