/** Tests where pictures are read from, and their names. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { encodePng } from '@cnn/image';
import { expect, test } from 'vitest';
import { nameOfPicture, readPicture } from './files.js';

test('a picture is read from a path, a file: URL and a data: URL', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'cnn-files-'));
  try {
    const picture = { width: 1, height: 1, data: Uint8Array.of(1, 2, 3) };
    const bytes = await encodePng(picture);
    const path = join(folder, 'a b.png');
    await writeFile(path, bytes);
    const data = `data:image/png;base64,${Buffer.from(bytes).toString('base64')}`;
    for (const source of [path, pathToFileURL(path).href, data])
      expect(await readPicture(source)).toMatchObject(picture);
    await expect(readPicture(folder)).rejects.toThrow(/it is a folder/);
    await expect(readPicture(`${pathToFileURL(path).href}x`)).rejects.toThrow(/no such file/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.each([
  ['photos/cat.1.jpg', 'cat.1'],
  ['file:///photos/a%20b.png', 'a b'],
  ['https://example.org/a%20b.png?size=2', 'a b'],
  ['https://example.org/100%.png', '100%'],
  ['https://example.org/', 'picture'],
  ['data:image/png;base64,iVBORw0/KGgo=', 'picture'],
  ['-', 'picture'],
])('the name of %s', (source, name) => {
  expect(nameOfPicture(source)).toBe(name);
});
