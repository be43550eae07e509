import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { makeFolder } from './makeFolder.js';

const folder = mkdtempSync(join(tmpdir(), 'cnn-folder-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('makes all that is missing, also when several ask for it at once', async () => {
  const deep = join(folder, 'a', 'b', 'c');
  await Promise.all([makeFolder(deep), makeFolder(deep), makeFolder(join(folder, 'a', 'd'))]);
  await makeFolder(deep);
  for (const path of [deep, join(folder, 'a', 'd')]) expect(statSync(path).isDirectory()).toBe(true);
});

test('a file in the way is an error', async () => {
  const file = join(folder, 'file');
  writeFileSync(file, '');
  await expect(makeFolder(file)).rejects.toMatchObject({ code: 'EEXIST' });
  await expect(makeFolder(join(file, 'a', 'b'))).rejects.toMatchObject({ code: 'ENOTDIR' });
});

test.runIf(process.platform === 'linux')('where the system makes none, it ends with an error', async () => {
  await expect(makeFolder('/proc/none/a')).rejects.toMatchObject({ code: 'ENOENT' });
});
