/** Tests the READMEs of core and of the repository. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readmeExamples } from './readme.js';

readmeExamples(join(import.meta.dirname, '../../core/README.md'));
const root = join(import.meta.dirname, '../../..');
readmeExamples(join(root, 'README.md'));

test('the commands before the first release are those of the repository', () => {
  const text = readFileSync(join(root, 'README.md'), 'utf8');
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    packageManager: string;
  };
  expect(text).toContain(`npx -y ${packageManager} install\nnode scripts/script.mjs `);
  for (const [, path] of text.matchAll(/<clone>\/(\S+)/g))
    expect(existsSync(join(root, path!, 'package.json'))).toBe(true);
});
